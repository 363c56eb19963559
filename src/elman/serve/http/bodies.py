"""What clients send: read strictly, and refused in one sentence. What a task takes of a feed, its listener says."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.exceptions import HTTPException

from elman.errors import UserError
from elman.lens.intervention import Intervention

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

LARGEST = 1 << 53  # below it, JSON's numbers are exact

At = int | str
Text = Annotated[str, Field(examples=["It was "])]
HELD = """Units, gates and heads that are held at a value while the request runs; a model's `places` say where."""
Held = Annotated[
    list[Intervention] | None,
    Field(description=HELD, examples=[[{"layer": 1, "state": "h", "unit": 0, "value": 0.5}]]),
]
Top = Annotated[int, Field(ge=0, le=1000, description="How many of the most probable tokens to tell.")]


class Body(BaseModel):
    """A body: what is not named here goes to the model's task as it is, which refuses what it does not know."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    def given(self, *others: str) -> dict[str, Any]:
        """What was sent, without `others`, which are not for the task; null is as if nothing was sent."""
        sent = self.model_dump(exclude_unset=True, exclude=set(others), by_alias=True)
        return {name: value for name, value in sent.items() if value is not None}


class FeedBody(Body):
    """What a session reads: one of text, tokens, values and units."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "It was "}]})

    text: str | None = Field(None, examples=["It was "], description="Words parted by white space, for a tagger.")
    tokens: list[int | str] | None = Field(None, examples=[[3, 4, 5]])
    values: list[float | list[float | None] | None] | None = Field(
        None, examples=[[[0.5], [0.25]]], description="Of a series: a row for each step."
    )
    units: list[Any] | None = Field(None, description="As a session's own units are.")
    top: Top | None = None
    set: Held = None


class CreateBody(FeedBody):
    """A new session, and the first that it reads."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "It was "}]})

    model: str | None = Field(None, description="A model's id; where the server has only one, it may be left out.")
    parent: str | None = Field(None, alias="from", description="A session whose memory the new one begins with.")
    at: At | None = Field(None, description="A position or a checkpoint of that session, in place of its end.")
    state: str | None = Field(None, description="A saved state (safetensors) in base64.")


class GenerateBody(Body):
    """What a session shall write."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tokens": 50, "temperature": 0.8}]})

    tokens: int | None = Field(None, ge=1, examples=[20], description="The most tokens to write.")
    temperature: float | None = Field(None, ge=0)
    top_k: int | None = Field(None, ge=1)
    top_p: float | None = Field(None, ge=0, le=1)
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=0, description="The same seed writes the same text, whoever else is served.")
    stop: str | list[str] | None = Field(None, description="At most four texts; the writing ends before the first.")
    log_probabilities: int | None = Field(None, ge=0, le=20, description="Of so many candidates for each token.")
    set: Held = None
    stream: bool = Field(False, description="Answer by server-sent events, while the model writes.")

    @field_validator("stop")
    @classmethod
    def _one_or_several(cls, value: str | list[str] | None) -> list[str] | None:
        return stops(value)


def stops(given: str | list[str] | None) -> list[str] | None:
    """Texts to stop at, where there may be one or a list."""
    return [given] if isinstance(given, str) else given


class ForkBody(BaseModel):
    """Where a new session parts from this one."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{}]})

    at: At | None = Field(None, description="A position or a checkpoint, in place of the end.")


class RollbackBody(BaseModel):
    """Where the session goes back to."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"to": 0}]})

    to: At = Field(description="A position or a checkpoint.", examples=[0])


class WatchBody(Body):
    """What the page shows of a piece of a session's trail."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"from": 0, "layer": 1}]})

    start: int = Field(0, alias="from", ge=0)
    to: int | None = Field(None, ge=0)
    layer: int = Field(1, ge=1)
    unit: int | None = Field(None, ge=0)
    units: int | list[int] | None = None
    attention_at: int | None = Field(None, ge=0)
    top: Top | None = None


def parse(body: bytes) -> Any:
    """JSON, strictly: UTF-8, finite numbers, no halves of characters. 2.0 is 2. Raises `UserError`."""

    def refuse(word: str) -> Any:
        raise UserError(f"the body is not valid JSON: it has {word}")

    try:
        value = json.loads(body.decode(), parse_float=_number, parse_constant=refuse)
        if SURROGATE.search(body):  # a pair of them is a character, a single one is none
            json.dumps(value, ensure_ascii=False).encode()
    except UserError:
        raise
    except UnicodeDecodeError:
        raise UserError("the body is not valid UTF-8") from None
    except UnicodeEncodeError:
        raise UserError("the body has half of a character, a surrogate that stands alone") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"the body is not valid JSON: {_why(error)}") from None
    return value


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise UserError(f"the body has {text[:40]}, a number that is too large")
    return int(number) if number.is_integer() and abs(number) < LARGEST else number


def _why(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else f"{error}".partition(";")[0]


class StrictRequest(Request):
    """A request whose JSON is read by `parse`."""

    async def json(self) -> Any:
        """The body. Raises `HTTPException`: FastAPI would hide every other error's words."""
        if not hasattr(self, "_json"):
            try:
                self._json = parse(await self.body())
            except UserError as error:
                raise HTTPException(400, str(error)) from None
        return self._json


class StrictRoute(APIRoute):
    """A route that reads its requests strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given a strict request."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strictly
