"""OpenAI's routes: /v1/models, and /v1/completions for language models. A completion is a session that ends with it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from secrets import token_urlsafe
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from elman import model_folders
from elman.errors import UserError, nearest
from elman.serve.http.answers import ModelFacts, ModelList, as_json
from elman.serve.http.bodies import StrictRoute, stops
from elman.serve.http.completing import Chunk, Completing, Wanted, joined
from elman.serve.http.errors import Refused, statuses
from elman.serve.http.events import EventStream, on_leaving
from elman.serve.http.sessions import STREAM, Serving

ModelId = Annotated[str, Path(description="A model's id: the name of its run's folder.")]
Prompt = str | list[str] | list[int] | list[list[int]]
MOST_PROMPTS = 64
OPTIONS = ("temperature", "top_p", "top_k", "min_p", "seed")
NEUTRAL = {
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "suffix": (None, ""),
}

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["OpenAI"])


class StreamOptions(BaseModel):
    """How a stream ends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool = False


class CompletionRequest(BaseModel):
    """As OpenAI's API has it, with `top_k` and `min_p`; null stands for the default."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"model": "run", "prompt": "It was ", "max_tokens": 32}]},
    )

    model: str
    prompt: Prompt = Field("", examples=["It was "], max_length=None)
    max_tokens: int | None = Field(16, ge=0)
    temperature: float | None = Field(1.0, ge=0)
    top_p: float | None = Field(1.0, ge=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0 and -1: all tokens.")
    min_p: float | None = Field(None, ge=0, le=1)
    n: int | None = Field(1, ge=1, le=16)
    best_of: int | None = Field(None, ge=1, description="No more than n.")
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool | None = False
    stop: str | list[str] | None = None
    seed: int | None = Field(None, ge=0, description="The first choice's; the next one's is greater by 1.")
    presence_penalty: float | None = Field(0.0, description="0: there are no penalties.")
    frequency_penalty: float | None = Field(0.0, description="0: there are no penalties.")
    logit_bias: dict[str, float] | None = Field(None, description="Empty: there is no bias.")
    suffix: str | None = Field(None, description="Empty: nothing can follow.")
    user: str | None = Field(None, description="Passed over.")


class CompletionLogprobs(BaseModel):
    """Log-probabilities in nats, under the model itself."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """One of the texts."""

    text: str
    index: int
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] | None


class CompletionUsage(BaseModel):
    """Tokens that were read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionAnswer(BaseModel):
    """All texts."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage | None


def model_facts(id: str, served: Any) -> dict[str, Any]:
    """A model in OpenAI's shape."""
    return {
        "id": id,
        "object": "model",
        "created": _created(served),
        "owned_by": "elman",
        "elman": served.describe(),
    }


def _created(served: Any) -> int:
    """When the weights were written, in seconds since 1970."""
    with suppress(OSError):
        return int((model_folders.find(served.run.path) / "model.safetensors").stat().st_mtime)
    return 0


@router.get("/models", response_model=ModelList, responses=statuses())
async def models(works: Serving) -> Response:
    """All models of this server."""
    served = works.sessions.models
    return as_json({"object": "list", "data": [model_facts(id, each) for id, each in served.items()]})


@router.get("/models/{id}", response_model=ModelFacts, responses=statuses(404))
async def model(
    id: Annotated[str, Path(description="A model's id: the name of its run's folder.")], works: Serving
) -> Response:
    """One model: its task, sizes, layers and vocabulary, and the places in which something can be held."""
    return as_json(model_facts(id, _served(works, id)))


def _served(works: Any, id: str) -> Any:
    served = works.sessions.models
    if id not in served:
        raise Refused(404, f"no model called {id!r}; {nearest(id, served)}")
    return served[id]


@router.post(
    "/completions",
    response_model=CompletionAnswer,
    responses={200: {"content": STREAM}, **statuses(404)},
)
async def completions(body: CompletionRequest, request: Request, works: Serving) -> Response:
    """Go on with one prompt or several, as OpenAI's API does."""
    served = _served(works, body.model)
    if not served.completes:
        route = "feed, then POST /v1/sessions/{id}/generate" if served.writes else "feed"
        what = f"{body.model} is {served.run.task.title}, and completes no text"
        raise UserError(what, remedy=f"POST /v1/sessions, then POST /v1/sessions/{{id}}/{route}")
    completing = Completing(works, body.model, _wanted(body))
    head = {"id": f"cmpl-{token_urlsafe(16)}", "object": "text_completion", "created": int(time.time())}
    head["model"] = body.model
    chunks = completing.chunks()
    async with on_leaving(request.receive, completing.stop):
        if body.stream:
            first = await anext(chunks)  # what is wrong with the request has its status, before the stream begins
            objects = _stream(
                first, chunks, completing, head, bool(body.stream_options and body.stream_options.include_usage)
            )
            return EventStream(objects, completing.stop)
        parts: dict[int, list[Chunk]] = {}
        async for chunk in chunks:
            parts.setdefault(chunk["index"], []).append(chunk)
    return as_json({**head, "choices": [joined(parts[at]) for at in sorted(parts)], "usage": completing.usage})


async def _stream(
    first: Chunk, rest: AsyncGenerator[Chunk], completing: Completing, head: dict[str, Any], count: bool
) -> AsyncGenerator[dict[str, Any]]:
    usage = {"usage": None} if count else {}
    try:
        yield {**head, "choices": [first], **usage}
        async for chunk in rest:
            yield {**head, "choices": [chunk], **usage}
        if count:
            yield {**head, "choices": [], "usage": completing.usage}
    finally:
        await rest.aclose()


def _wanted(body: CompletionRequest) -> Wanted:
    """What a request asks for. Raises `UserError` for what no model here can do."""
    for name, neutral in NEUTRAL.items():
        if getattr(body, name) not in neutral:
            raise Refused(400, f"{name} is not supported; leave it out", param=name)
    choices = 1 if body.n is None else body.n
    if body.best_of is not None and body.best_of > choices:
        raise Refused(400, "best_of is not supported above n; leave it out", param="best_of")
    given = body.prompt
    several = isinstance(given, list) and bool(given) and not isinstance(given[0], int)
    prompts: list[Any] = list(given) if several else [given]
    if len(prompts) > MOST_PROMPTS:
        raise Refused(400, f"prompt: expected at most {MOST_PROMPTS} at once, got {len(prompts)}", param="prompt")
    options = {name: value for name in OPTIONS if (value := getattr(body, name)) is not None}
    options = {"temperature": 1.0, "top_p": 1.0, **options, "stop": stops(body.stop) or []}
    if options.get("top_k", 1) < 1:
        del options["top_k"]
    if body.logprobs is not None:
        options["log_probabilities"] = body.logprobs
    tokens = 16 if body.max_tokens is None else body.max_tokens
    return Wanted(prompts, choices, tokens, bool(body.echo), body.logprobs, options)
