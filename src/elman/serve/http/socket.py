"""A session over a WebSocket: what the routes do, as messages that are answered in order; `stop` ends the running one.

    {"do": "feed", "request": 1, "text": "It was"}      {"request": 1, "answer": {…}}
    {"do": "generate", "request": 2, "tokens": 50}      {"request": 2, "text": "a", …} …, {"request": 2, "answer": {…}}
    {"do": "stop"}                                      what runs is answered with "finished": "cancelled"

Where the server has API keys and the client sent none in a header, its first message is {"key": "KEY"}.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from elman import strict_json
from elman.errors import UserError
from elman.serve import watching
from elman.serve.errors import status_of
from elman.serve.http import errors
from elman.serve.http.bodies import Body, RollbackBody, parse
from elman.serve.http.events import Running, Works
from elman.serve.http.gate import CLOSED, Rules, wrong_key
from elman.serve.http.sessions import FORMS, apart
from elman.settings import complaint

if TYPE_CHECKING:
    from elman.serve.handle import Session

WAITING = 32  # messages that wait for their turn
PATIENCE = 10.0  # seconds in which a key must arrive

router = APIRouter()


@router.websocket("/v1/sessions/{id}/socket")
async def socket(websocket: WebSocket, id: str) -> None:
    """Speak with one session. A client that goes away stops what runs, and the session is kept."""
    await websocket.accept()
    works: Works = websocket.app.state.works
    rules: Rules = websocket.app.state.rules
    try:
        if not websocket.scope["elman.trusted"]:
            await _trust(websocket, rules)
        session = works.sessions.get(id)
    except UserError as error:
        await _tell(websocket, errors.described(error, status_of(error)))
        await websocket.close(CLOSED)
        return
    except WebSocketDisconnect:
        return
    await Conversation(websocket, works, session).run()


async def _trust(websocket: WebSocket, rules: Rules) -> None:
    """Wait for the key. Raises `Refused` where there is none, or a wrong one."""
    try:
        async with asyncio.timeout(PATIENCE):
            message = parse((await websocket.receive_text()).encode())
    except (TimeoutError, KeyError, UserError):  # a KeyError: it sent bytes
        raise wrong_key() from None
    if not (isinstance(message, dict) and isinstance(key := message.get("key"), str) and rules.keys.open(key)):
        raise wrong_key()


async def _tell(websocket: WebSocket, message: dict[str, Any]) -> None:
    await websocket.send_text(strict_json.dumps(message))


class Conversation:
    """The messages of one client."""

    def __init__(self, websocket: WebSocket, works: Works, session: Session) -> None:
        self.websocket, self.works, self.session = websocket, works, session
        self.waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)
        self.running: Running | None = None

    async def run(self) -> None:
        """Until the client leaves."""
        answering = asyncio.ensure_future(self._answer_all())
        try:
            while True:
                await self._take(await self.websocket.receive())
        except WebSocketDisconnect:
            pass
        finally:
            answering.cancel()
            if self.running is not None:
                self.works.end(self.running)

    async def _take(self, message: Any) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        asked: Any = None
        try:
            asked = parse((message.get("text") or "").encode("utf-8", "surrogatepass"))
            if not isinstance(asked, dict):
                raise UserError("a message", expected="a JSON object", got=type(asked).__name__)
            if asked.get("do") == "stop":
                if self.running is not None:
                    self.running.job.cancel()
                return
            self.waiting.put_nowait(asked)
        except asyncio.QueueFull:
            full = errors.Refused(429, f"{WAITING} messages wait already; read the answers first", retry_after=1)
            await self._fail(asked, full)
        except UserError as error:
            await self._fail(asked, error)

    async def _fail(self, asked: Any, error: UserError) -> None:
        number = asked.get("request") if isinstance(asked, dict) else None
        await _tell(self.websocket, {"request": number, **errors.described(error, status_of(error))})

    async def _answer_all(self) -> None:
        while True:
            asked = await self.waiting.get()
            try:
                await self._answer(asked)
            except UserError as error:
                await self._fail(asked, error)
            except OSError as error:
                await self._fail(asked, errors.Refused(503, f"the server cannot use its files: {error.strerror}"))
            except Exception:
                logging.getLogger("uvicorn.error").exception("a message over a WebSocket")
                await self._fail(asked, errors.Refused(500, "the server failed; its log says where"))

    async def _answer(self, asked: dict[str, Any]) -> None:
        """One message. Raises `UserError`."""
        number, do = asked.get("request"), asked.get("do")
        if not isinstance(do, str) or do not in {*FORMS, *SIMPLE}:
            raise UserError("do", expected=f"one of {', '.join(sorted({*FORMS, *SIMPLE, 'stop'}))}", got=repr(do))
        if do in SIMPLE:
            answer = await apart(lambda: SIMPLE[do](self.session))
        else:
            try:
                fields = {name: value for name, value in asked.items() if name not in ("request", "do")}
                form = FORMS[do].model_validate(fields)
            except ValidationError as error:
                raise complaint(error) from None
            if do in ("feed", "generate"):
                assert isinstance(form, Body)
                answer = await self._work(number, do, form.given("stream"))
            else:
                answer = await apart(lambda: self._apart(form))
        await _tell(self.websocket, {"request": number, "answer": answer})

    def _apart(self, form: Any) -> dict[str, Any]:
        if isinstance(form, RollbackBody):
            self.session.rollback(form.to)
            return {"id": self.session.id, "position": self.session.position}
        if isinstance(form, Body):
            return watching.as_json(self.session.watch(**form.given()))
        return self.session.fork(form.at).describe()

    async def _work(self, number: Any, kind: str, asked: dict[str, Any]) -> dict[str, Any]:
        self.running = running = await self.works.start(self.session.id, kind, asked)
        try:
            async for event in running.pieces():
                if kind == "generate":
                    await _tell(self.websocket, {"request": number, **event})
                    await asyncio.sleep(0)  # sends to a client that left never wait: let the reader see it leave
            return await running.answer()
        finally:
            self.running = None
            self.works.end(running)


def _facts(session: Session) -> dict[str, Any]:
    return {**session.describe(), "pieces": session.pieces()}


def _mark(session: Session) -> dict[str, Any]:
    name = session.checkpoint()
    return {"id": name, "position": session.position}


SIMPLE: dict[str, Callable[[Session], dict[str, Any]]] = {"describe": _facts, "checkpoint": _mark}
