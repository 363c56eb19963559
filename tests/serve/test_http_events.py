from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from elman.serve import Sessions
from elman.serve.http.app import make_app
from elman.serve.http.events import Bridge, Running, merged

MANY = 10_000_000  # tokens: nobody waits for so many


async def ask(app: Any, path: str, body: Any, leave: Callable[[list[Any]], Awaitable[None]]) -> list[Any]:
    """What a server sends to a client that asks, and leaves when `leave` returns."""
    sent: list[Any] = []
    asked = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> Any:
        if asked:
            return asked.pop()
        await leave(sent)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "headers": headers, "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await asyncio.wait_for(app(scope, receive, send), 30)
    return sent


async def some_events(sent: list[Any]) -> None:
    while len(sent) < 4:
        await asyncio.sleep(0.001)


async def a_moment(sent: list[Any]) -> None:
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_its_work_and_keeps_its_session(sessions: Sessions, stream: bool) -> None:
    session = sessions.create(text="the ")
    app = make_app(sessions)
    body = {"tokens": MANY, "seed": 1, "stream": stream}
    asyncio.run(ask(app, f"/v1/sessions/{session.id}/generate", body, some_events if stream else a_moment))
    assert not app.state.works.running
    assert wait(lambda: not session.describe()["busy"])
    position = session.position
    assert 4 < position < MANY
    assert session.feed(text="a")["position"] == position + 1


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_a_completion_leaves_nothing(sessions: Sessions, stream: bool) -> None:
    before = sessions.stats()["sessions"]
    app = make_app(sessions)
    body = {"model": "run", "prompt": "the", "max_tokens": MANY, "n": 3, "stream": stream}
    asyncio.run(ask(app, "/v1/completions", body, some_events if stream else a_moment))
    assert not app.state.works.running
    assert sessions.stats()["sessions"] == before


def test_a_parked_work_tells_what_it_wrote(sessions: Sessions) -> None:
    session = sessions.create(text="the ")
    app = make_app(sessions)

    async def park(sent: list[Any]) -> None:
        await some_events(sent)
        app.state.works.park()
        await asyncio.sleep(30)

    body = {"tokens": MANY, "seed": 1, "stream": True}
    sent = asyncio.run(ask(app, f"/v1/sessions/{session.id}/generate", body, park))
    parts = b"".join(each.get("body", b"") for each in sent[1:]).decode().split("\n\n")
    assert parts[-2:] == ["data: [DONE]", ""]
    *events, last = [json.loads(part.removeprefix("data: ")) for part in parts[:-2]]
    assert last["answer"]["finished"] == "cancelled"
    assert "".join(event["text"] for event in events) == session.text.removeprefix("the ")


def wait(condition: Callable[[], bool]) -> bool:
    async def until() -> bool:
        for _ in range(500):
            if condition():
                return True
            await asyncio.sleep(0.01)
        return False

    return asyncio.run(until())


def test_events_that_lie_close_together_are_one() -> None:
    first = {"text": "a", "tokens": ["a"], "top": [[1]], "position": 1}
    second = {"text": "bc", "tokens": ["b", "c"], "top": [[2], [3]], "position": 3, "alignment": [[0.5]]}
    assert merged([first]) == first
    assert merged([first, second]) == {
        "text": "abc", "tokens": ["a", "b", "c"], "top": [[1], [2], [3]], "position": 3, "alignment": [[0.5]],
    }  # fmt: skip
    assert first["tokens"] == ["a"]


def test_the_last_events_of_a_work_that_is_done_while_one_looks() -> None:
    """The model's thread is done between an earlier event and the loop's look at the work."""

    async def pieces() -> list[Any]:
        running = Running(bridge := Bridge(), lambda seconds: None)
        running.job = SimpleNamespace(done=True)  # type: ignore[assignment]
        running.take([{"text": "a"}])
        bridge.waiting.append((running, [{"text": "b"}]))  # told, and not yet with the loop
        return [event async for event in running.pieces()]

    assert asyncio.run(pieces()) == [{"text": "ab"}]


def test_requests_leave_no_cycles_behind(client: TestClient, sessions: Sessions) -> None:
    """What refers to itself stays in memory, states among it, until the garbage collector comes, and calls it."""
    session = sessions.create(text="the cat ")
    place = f"/v1/sessions/{session.id}"
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for stream in (False, True):
            for path, body in (
                (f"{place}/generate", {"tokens": 3, "stream": stream}),
                ("/v1/completions", {"model": "run", "prompt": "the", "max_tokens": 3, "stream": stream}),
            ):
                assert client.post(path, json=body).status_code == 200
        assert client.post(f"{place}/feed", json={"text": "sat"}).status_code == 200
        assert client.post(f"{place}/generate", json={"tokens": -1}).status_code == 400
        with client.websocket_connect(f"ws://127.0.0.1:8000{place}/socket") as socket:
            socket.send_text(json.dumps({"do": "feed", "text": "the"}))
            assert "answer" in socket.receive_json()
        session.generate(tokens=3).close()
        session.rollback(to=2)
        session.fork().close()
        gc.collect()
        ours = {type(each).__name__ for each in gc.garbage if type(each).__module__.split(".")[0] == "elman"}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert not ours
