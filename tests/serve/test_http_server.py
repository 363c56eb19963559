"""The server's socket and its address."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from elman.serve.http import protocol, server


def test_every_address_is_said_as_one_that_another_machine_opens() -> None:
    with server.listen("0.0.0.0", 0) as listening:
        listening.listen()
        address = urlsplit(server.address_of(listening))
        assert address.port == listening.getsockname()[1]
        assert address.hostname not in (None, "0.0.0.0")
        with socket.create_connection((address.hostname, address.port), timeout=5):
            pass


def test_without_a_network_it_is_the_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreachable(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError("Network is unreachable")

    with server.listen("0.0.0.0", 0) as listening:
        monkeypatch.setattr(socket, "socket", Unreachable)
        assert urlsplit(server.address_of(listening)).hostname == socket.gethostname().lower()


def test_one_address_is_itself() -> None:
    with server.listen("127.0.0.1", 0) as listening:
        assert server.address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}/"


def test_the_garbage_collector_passes_over_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(self: server.Server, sockets: Any) -> None:
        found.append((gc.get_freeze_count() > 100_000, gc.get_threshold()[0]))

    found, before = list[Any](), gc.get_threshold()
    monkeypatch.setattr(server.Server, "run", serve)
    app = FastAPI()
    app.state.works = None
    with server.listen("127.0.0.1", 0) as listening:
        server.run(app, listening, request=1, signals=lambda: 0, ready=lambda: None)
    assert found == [(True, server.YOUNG)]
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, before)


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """An app that answers later than headers must arrive."""
    await asyncio.sleep(4 * protocol.PATIENCE)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def connected(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    monkeypatch.setattr(protocol, "PATIENCE", 0.1)
    config, state = uvicorn.Config(slow, lifespan="off", http=protocol.PromptProtocol), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    made = await loop.create_server(lambda: protocol.PromptProtocol(config, state, {}), "127.0.0.1", 0)
    async with made:
        reader, writer = await asyncio.open_connection(*made.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()


REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_headers_that_do_not_arrive_end_the_connection(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    async def ask() -> bytes:
        async with connected(monkeypatch) as (reader, writer):
            writer.write(sent)
            return await asyncio.wait_for(reader.read(), 20)

    assert asyncio.run(ask()) == b""


def test_an_answer_may_take_longer_than_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes on to the next request, whose headers must arrive as those of the first."""

    async def ask() -> list[bytes]:
        async with connected(monkeypatch) as (reader, writer):
            answers = []
            for _ in range(2):
                writer.write(REQUEST[:9])
                await writer.drain()
                writer.write(REQUEST[9:])
                answers.append(await asyncio.wait_for(reader.readuntil(b"ok"), 20))
            writer.write(REQUEST[:9])
            return [*answers, await asyncio.wait_for(reader.read(), 20)]

    first, second, last = asyncio.run(ask())
    assert first.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 200")
    assert last == b""
