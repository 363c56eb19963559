"""What the server answers: one fast way to write JSON, and the shapes of the answers for the description at /docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from elman import strict_json


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response of JSON, in ASCII: whatever a client sent can be said back to it."""
    content = strict_json.dumps(value)
    return Response(content, status, headers=dict(headers or {}), media_type="application/json")


class ErrorFacts(BaseModel):
    """One sentence, and words for programs."""

    message: str
    type: str
    code: str | None
    param: str | None = Field(description="The part of the request that is wrong.")


class ErrorAnswer(BaseModel):
    """The body of every answer that is not 2xx."""

    error: ErrorFacts


class OpenAnswer(BaseModel):
    """An answer whose further parts the model's task decides."""

    model_config = ConfigDict(extra="allow")


class FeedAnswer(OpenAnswer):
    """What the model says after it has read; the parts beside `position` are those of its task."""

    position: int = Field(description="How many units the session has read and written.")


class WrittenAnswer(OpenAnswer):
    """What the model has written."""

    text: str
    tokens: list[Any]
    finished: str = Field(description="length, stop, end (of a document or a sentence) or cancelled.")
    position: int


class Opened(BaseModel):
    """A new session."""

    id: str = Field(description="It cannot be guessed: whoever knows it may use the session.")
    model: str
    task: str
    position: int
    parent: str | None
    answer: FeedAnswer | None = Field(None, description="To the first feed, where there was one.")


class CheckpointFacts(BaseModel):
    """A position that a session can go back to by name."""

    id: str
    position: int


class SessionFacts(OpenAnswer):
    """A session as it is now."""

    id: str
    model: str
    task: str
    position: int
    parent: str | None
    pieces: list[str] = Field(description="Each unit that was read or written, as text.")
    checkpoints: list[CheckpointFacts]
    busy: bool
    bytes: int
    idle: float = Field(description="Seconds since it was last used.")


class Placed(BaseModel):
    """Where a session is now."""

    id: str
    position: int


class ModelFacts(BaseModel):
    """A model in OpenAI's shape, and what elman knows of it."""

    id: str
    object: str
    created: int
    owned_by: str
    elman: dict[str, Any]


class ModelList(BaseModel):
    """All models."""

    object: str
    data: list[ModelFacts]


class Health(BaseModel):
    """Whether the server lives, or takes work."""

    status: str
