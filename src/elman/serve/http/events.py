"""From a model's thread to a client: works under way, and their events as server-sent events.

A client may leave at any moment. Its connection is watched beside the work, so that the work ends at once, even while
it has nothing to tell.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from elman import strict_json
from elman.errors import UserError
from elman.serve.errors import status_of
from elman.serve.http import errors

if TYPE_CHECKING:
    from elman.serve.batching import Job
    from elman.serve.sessions import Sessions

SHARE = 0.02  # seconds: tokens that are written within it share an event
LONG = 4096  # characters or values of a request
DONE = "data: [DONE]\n\n"


class Bridge:
    """Carries events from models' threads to the loop: however many are waiting, the loop is woken once."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.waiting: deque[tuple[Running, Sequence[dict[str, Any]]]] = deque()
        self.called = False

    def tell(self, running: Running, events: Sequence[dict[str, Any]]) -> None:
        """Called by any thread; it does not block."""
        self.waiting.append((running, events))
        if not self.called:
            self.called = True
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self.loop.call_soon_threadsafe(self.deliver)

    def deliver(self) -> None:
        """Hand over what is waiting; called by the loop."""
        self.called = False  # before the last look: what comes later calls again
        while self.waiting:
            running, events = self.waiting.popleft()
            running.take(events)


class Running:
    """A work of a session, as the loop sees it."""

    job: Job

    def __init__(self, bridge: Bridge, first: Callable[[float], None]) -> None:
        self.bridge = bridge
        self.events: list[dict[str, Any]] = []
        self.news = asyncio.Event()
        self.first, self.begun = first, time.monotonic()

    def take(self, events: Sequence[dict[str, Any]]) -> None:
        """More has happened."""
        self.events.extend(events)
        self.news.set()

    async def answer(self) -> dict[str, Any]:
        """The answer, when it is there. Raises `UserError` where the work failed."""
        while not self.job.done:
            await self.news.wait()
            self.news.clear()
        return self.job.result(0)

    async def pieces(self) -> AsyncGenerator[dict[str, Any]]:
        """The events as they come, those that lie close together as one. Raises `UserError` where the work fails."""
        told = 0.0
        while True:
            await self.news.wait()
            if (early := told + SHARE - time.monotonic()) > 0 and not self.job.done:
                await asyncio.sleep(early)
            self.news.clear()
            if done := self.job.done:  # its last events have been told, and may wait for the loop
                self.bridge.deliver()
            if self.events:
                events, self.events = self.events, []
                if not told:
                    self.first(time.monotonic() - self.begun)
                told = time.monotonic()
                yield merged(events)
            if done:
                return


def merged(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Events that follow each other as one: texts and lists are joined, of all else the last value holds.

    >>> merged([{"text": "a", "ids": [1], "position": 1}, {"text": "b", "ids": [2], "position": 2}])
    {'text': 'ab', 'ids': [1, 2], 'position': 2}
    """
    whole = dict(events[0])
    for event in events[1:]:
        for name, value in event.items():
            joins = name in whole and (isinstance(value, list) or name == "text")
            whole[name] = whole[name] + value if joins else value
    return whole


class Works:
    """All works that clients wait for. They end together when the server stops."""

    def __init__(self, sessions: Sessions, first: Callable[[float], None]) -> None:
        self.sessions, self.first = sessions, first  # `first` is told the seconds until each work's first event
        self.running: dict[Running, None] = {}
        self.bridge: Bridge | None = None
        self.stopping = False

    async def start(self, id: str, kind: str, asked: Mapping[str, Any]) -> Running:
        """Begin a work. Raises `UserError` where the session cannot do it."""
        if self.stopping:
            raise errors.Refused(503, "the server is stopping")
        if self.bridge is None or self.bridge.loop is not asyncio.get_running_loop():
            self.bridge = Bridge()
        bridge = self.bridge
        running = Running(bridge, self.first)

        def submit() -> Job:
            return self.sessions.submit(id, kind, asked, lambda events: bridge.tell(running, events))

        running.job = await anyio.to_thread.run_sync(submit) if _is_long(asked) else submit()
        self.running[running] = None
        return running

    def end(self, running: Running) -> None:
        """Stop a work, if it is not done; its session is kept."""
        running.job.cancel()
        self.running.pop(running, None)

    def park(self) -> None:
        """Begin no more works and stop all: their clients get what was written so far."""
        self.stopping = True
        for running in list(self.running):
            running.job.cancel()

    @asynccontextmanager
    async def work(self, receive: Receive, id: str, kind: str, asked: Mapping[str, Any]) -> AsyncIterator[Running]:
        """A work that ends with the block, or when its client leaves."""
        running = await self.start(id, kind, asked)
        try:
            async with on_leaving(receive, running.job.cancel):
                yield running
        finally:
            self.end(running)

    async def do(self, receive: Receive, id: str, kind: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A work's answer. Raises `UserError`."""
        async with self.work(receive, id, kind, asked) as running:
            return await running.answer()


def _is_long(asked: Mapping[str, Any]) -> bool:
    """Whether it takes a while to read a request, in which the loop has others to serve."""
    return any(isinstance(value, str | list) and len(value) > LONG for value in asked.values())


@asynccontextmanager
async def on_leaving(receive: Receive, act: Callable[[], None]) -> AsyncIterator[None]:
    """Act at once where the client leaves while the block runs; its request has been read."""

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        act()

    watching = asyncio.ensure_future(left())
    try:
        yield
    finally:
        watching.cancel()


class EventStream(Response):
    """Objects as server-sent events, `data: …`, until there are no more or the client has left."""

    media_type = "text/event-stream"

    def __init__(self, objects: AsyncGenerator[Any], leaves: Callable[[], None]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.objects, self.leaves = objects, leaves

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with on_leaving(receive, self.leaves):
                try:
                    async for each in self.objects:
                        await send(_part(f"data: {strict_json.dumps(each)}\n\n"))
                except UserError as error:
                    told = errors.described(error, status_of(error))
                    await send(_part(f"data: {strict_json.dumps(told)}\n\n"))
                await send(_part(DONE))
                await send({"type": "http.response.body", "body": b""})
        finally:
            self.leaves()
            await self.objects.aclose()


def _part(text: str) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}
