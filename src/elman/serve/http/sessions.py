"""The routes of sessions: each asks `elman.serve.Sessions`, in a worker thread where that may wait for a disk."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import anyio.to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from elman.errors import UserError
from elman.serve import watching
from elman.serve.http.answers import CheckpointFacts, FeedAnswer, Opened, Placed, SessionFacts, WrittenAnswer, as_json
from elman.serve.http.bodies import (
    Body,
    CreateBody,
    FeedBody,
    ForkBody,
    GenerateBody,
    RollbackBody,
    StrictRoute,
    WatchBody,
)
from elman.serve.http.errors import statuses
from elman.serve.http.events import EventStream, Running, Works

if TYPE_CHECKING:
    from elman.serve.handle import Session

T = TypeVar("T")

router = APIRouter(prefix="/v1/sessions", route_class=StrictRoute, tags=["sessions"])
Id = Annotated[str, Path(description="A session's id.", examples=["kq2vZ0mS3mEXAMPLE_id-0"])]
STREAM = {"text/event-stream": {"example": 'data: {"text": "a"}\n\ndata: [DONE]\n\n'}}
SAFETENSORS = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def works_of(request: Request) -> Works:
    """The works of the app that a request came to."""
    return request.app.state.works


Serving = Annotated[Works, Depends(works_of)]


async def apart(do: Callable[[], T]) -> T:
    """What may wait for the disk or for a model's thread, done in a worker thread."""
    return await anyio.to_thread.run_sync(do)


async def opened(works: Works, request: Request, session: Session, first: dict[str, Any]) -> Response:
    """The answer that tells of a new session; one whose first feed fails was never there."""
    answer = None
    if first:
        try:
            answer = await works.do(request.receive, session.id, "feed", first)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await apart(session.close)
            raise
    facts = session.describe()
    told = {name: facts[name] for name in ("id", "model", "task", "position", "parent")} | {"answer": answer}
    return as_json(told, 201, {"Location": f"/v1/sessions/{session.id}"})


@router.post("", status_code=201, response_model=Opened, responses=statuses(404, 409, 410))
async def create(body: CreateBody, request: Request, works: Serving) -> Response:
    """Open a session: anew, from another session (a fork), or from a saved state; and feed it."""
    if body.parent is not None and (body.state is not None or body.model is not None):
        raise UserError("from: a session that another begins with has its own model and state")
    if body.at is not None and body.parent is None:
        raise UserError("at: there is no `from` whose position that could be")
    if body.parent is not None:
        parent, at = works.sessions.get(body.parent), body.at
        session = await apart(lambda: parent.fork(at))
    else:
        memory = None if body.state is None else _decoded(body.state)
        session = await apart(lambda: works.sessions.create(body.model, memory=memory))
    return await opened(works, request, session, body.given("model", "parent", "at", "state"))


@router.get("/{id}", response_model=SessionFacts, responses=statuses(404))
async def describe(id: Id, works: Serving) -> Response:
    """All that is known of a session."""
    session = works.sessions.get(id)
    return as_json(await apart(lambda: {**session.describe(), "pieces": session.pieces()}))


@router.delete("/{id}", status_code=204, response_class=Response, responses=statuses(404))
async def close(id: Id, works: Serving) -> Response:
    """End a session; what it runs is stopped."""
    await apart(works.sessions.get(id).close)
    return Response(status_code=204)


@router.post("/{id}/feed", response_model=FeedAnswer, responses=statuses(404, 409))
async def feed(id: Id, body: FeedBody, request: Request, works: Serving) -> Response:
    """Read on, and answer what the model says now."""
    return as_json(await works.do(request.receive, id, "feed", body.given()))


@router.post(
    "/{id}/generate",
    response_model=WrittenAnswer,
    responses={200: {"content": STREAM}, **statuses(404, 409)},
)
async def generate(id: Id, body: GenerateBody, request: Request, works: Serving) -> Response:
    """Write on: one answer at the end, or with `stream` its pieces as they are written and then the answer."""
    asked = body.given("stream")
    if not body.stream:
        return as_json(await works.do(request.receive, id, "generate", asked))
    running = await works.start(id, "generate", asked)
    return EventStream(told(running), lambda: works.end(running))


async def told(running: Running) -> AsyncGenerator[dict[str, Any]]:
    """A work's events, then {"answer": …}."""
    async for event in running.pieces():
        yield event
    yield {"answer": await running.answer()}


@router.post("/{id}/fork", status_code=201, response_model=Opened, responses=statuses(404, 409, 410))
async def fork(id: Id, body: ForkBody, request: Request, works: Serving) -> Response:
    """A new session that has read all that this one has, here or up to a position."""
    session = works.sessions.get(id)
    return await opened(works, request, await apart(lambda: session.fork(body.at)), {})


@router.post("/{id}/checkpoints", status_code=201, response_model=CheckpointFacts, responses=statuses(404, 409))
async def checkpoint(id: Id, works: Serving) -> Response:
    """Keep this moment of a session under a name."""
    session = works.sessions.get(id)

    def keep() -> dict[str, Any]:
        name = session.checkpoint()
        return next(mark for mark in session.describe()["checkpoints"] if mark["id"] == name)

    return as_json(await apart(keep), 201)


@router.post("/{id}/rollback", response_model=Placed, responses=statuses(404, 409, 410))
async def rollback(id: Id, body: RollbackBody, works: Serving) -> Response:
    """Go back to a position or a checkpoint."""
    session = works.sessions.get(id)
    await apart(lambda: session.rollback(body.to))
    return as_json({"id": id, "position": session.position})


@router.get("/{id}/state", responses={200: {"content": SAFETENSORS}, **statuses(404, 409)})
async def state(
    id: Id, works: Serving, form: Annotated[Literal["safetensors", "json"], Query(alias="format")] = "safetensors"
) -> Response:
    """The memory of a session: a file that `state` of a new session takes, or JSON for people."""
    session = works.sessions.get(id)
    if form == "json":
        return as_json(await apart(lambda: session.state("json")))
    content = await apart(lambda: session.state("safetensors"))
    return Response(content, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})


@router.post("/{id}/watch", responses=statuses(404, 409, 410))
async def watch(id: Id, body: WatchBody, works: Serving) -> Response:
    """States, gates, attention and surprise over a piece of what the session has read, for the page."""
    session, asked = works.sessions.get(id), body.given()
    return as_json(await apart(lambda: watching.as_json(session.watch(**asked))))


def _decoded(state: str) -> bytes:
    try:
        return base64.b64decode(state, validate=True)
    except (binascii.Error, ValueError):
        raise UserError("state", expected="base64 of a saved state", got="something else") from None


FORMS: dict[str, type[Body] | type[ForkBody] | type[RollbackBody]] = {
    "feed": FeedBody, "generate": GenerateBody, "fork": ForkBody, "rollback": RollbackBody, "watch": WatchBody,
}  # fmt: skip
