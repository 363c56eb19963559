"""The server's process: uvicorn over the app, its address, and its end."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from elman.errors import UserError
from elman.serve.http.protocol import PromptProtocol

GRACE = 10.0  # seconds in which works may finish after the first signal; then they are parked
HURRY = 5.0  # seconds more, in which the clients of parked works get their answers
YOUNG = 50_000  # objects between two young collections: more than the requests of a hundred clients have at once


class Server(uvicorn.Server):
    """Uvicorn, which stops when `signals` says that it shall: by one signal after the works, by two at once."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, signals: Callable[[], int], ready: Callable[[], None]):
        super().__init__(config)
        self.works, self.signals, self.ready = app.state.works, signals, ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the command."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self.ready()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        return self.signals() > 0 or await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let works finish or park them, and tell their clients."""
        parking = asyncio.ensure_future(self._park())
        await super().shutdown(sockets)
        parking.cancel()

    async def _park(self) -> None:
        self.works.stopping = True
        for _ in range(round(GRACE / 0.05)):
            if self.signals() > 1 or not self.works.running:
                break
            await asyncio.sleep(0.05)
        self.works.park()


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address; port 0 takes a free one. Raises `UserError` where that is not to be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
        except OSError:
            made.close()
            raise
    except OSError as error:
        remedy = "choose another --port; 0 takes a free one" if port else ""
        raise UserError(f"cannot listen at {host}:{port} ({error.strerror})", remedy=remedy) from None
    return made


def address_of(listening: socket.socket) -> str:
    """The address of a socket as a browser takes it, on another machine too where that reaches the socket."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
        host = _own_address(listening.family)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _own_address(family: int) -> str:
    """The address by which this machine reaches others, and others this machine; its name where it reaches none."""
    beyond = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # of documentation: nobody has them
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((beyond, 9))  # which sends nothing
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def is_loopback(listening: socket.socket) -> bool:
    """Whether only this machine reaches a socket."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


@contextmanager
def settled() -> Iterator[None]:
    """Let Python's collector of cyclic garbage pass over all that there is now, and come seldom, while the block runs.

    Each of its full collections goes through a million objects of modules and models, 0.2 s in which nobody is
    answered. Objects of requests under way lead to them: those that a young collection finds in use count as old ones.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def run(
    app: FastAPI, listening: socket.socket, *, request: int, signals: Callable[[], int], ready: Callable[[], None]
) -> None:
    """Serve until the signals say stop.

    Args:
        app: of `make_app`.
        listening: where.
        request: the most bytes of a message.
        signals: how many signals to stop have come.
        ready: called when the server takes requests.
    """
    options: dict[str, Any] = {
        "http": PromptProtocol,
        "access_log": False,
        "log_level": "error",
        "server_header": False,
        "proxy_headers": False,  # nobody's word is taken for where a request comes from
        "ws_max_size": request,
        "ws_max_queue": 4,
        "ws_per_message_deflate": False,
        "timeout_graceful_shutdown": int(GRACE + HURRY),
        "lifespan": "on",
    }
    with settled():
        Server(uvicorn.Config(app, **options), app, signals, ready).run([listening])
