"""What a request must pass before the server reads it: its host and origin, its key, its size, and room for it."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from elman import strict_json
from elman.serve.http.errors import Refused, answer, described
from elman.serve.http.keys import Keys
from elman.serve.http.metrics import ServerMetrics
from elman.wording import counted

PATIENCE = 30.0  # seconds in which a request must arrive
CLOSED = 1008  # a WebSocket, against the server's rules (RFC 6455)
HARMLESS = ("GET", "HEAD", "OPTIONS")
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:]*)(:\d*)?", re.ASCII)


@dataclass
class Rules:
    """Who is let in."""

    keys: Keys = field(default_factory=Keys)
    loopback: bool = True  # whether only this machine reaches the server
    host: str = "127.0.0.1"
    origins: Collection[str] = ()  # other sites whose pages may ask
    open: Collection[str] = ()  # addresses that need no key and always have room
    request: int = 1 << 20  # the most bytes of a request
    in_flight: int = 256  # the most requests at once


class Gate:
    """The first part of the app: a request that it refuses costs next to nothing, whatever was sent."""

    def __init__(self, app: ASGIApp, rules: Rules, metrics: ServerMetrics) -> None:
        self.app, self.rules, self.metrics = app, rules, metrics
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        begun, status = time.monotonic(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._pass(scope, receive, noting)
        except Refused as error:
            await _refuse(error, scope, receive, noting)
        if scope["type"] == "http":
            self.metrics.answered(scope, status, time.monotonic() - begun)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, rules = Headers(scope=scope), self.rules
        self._check_host(headers)
        if scope["type"] == "websocket" or scope["method"] not in HARMLESS:
            self._check_origin(headers)
        if scope["type"] == "websocket":
            said = headers.get("authorization")
            if said is not None and not rules.keys.open_header(said):
                raise wrong_key()
            scope["elman.trusted"] = said is not None or not rules.keys
            await self.app(scope, receive, send)  # a browser cannot send a header here: its first message has the key
            return
        if scope["path"] in rules.open:
            await self.app(scope, receive, send)
            return
        if rules.keys and not rules.keys.open_header(headers.get("authorization", "")):
            raise wrong_key()
        if self.inside >= rules.in_flight:
            raise Refused(
                429, f"the server has {counted(rules.in_flight, 'request')} at work; try again in 1 s", retry_after=1
            )
        self.inside += 1
        try:
            await self.app(scope, await self._read(headers, receive), send)
        finally:
            self.inside -= 1

    def _check_host(self, headers: Headers) -> None:
        """On this machine alone, another site's page could reach us by a name of its own that leads to 127.0.0.1."""
        found = HOST.fullmatch(headers.get("host", "").lower())
        name = found[1].strip("[]") if found else ""
        if self.rules.loopback and name not in ("localhost", self.rules.host) and not _is_loopback(name):
            raise Refused(403, "this server answers to the names of this machine alone; --host lets others in")

    def _check_origin(self, headers: Headers) -> None:
        """A browser lets every page send forms and open WebSockets, and says whose page it is."""
        origin = headers.get("origin")
        if origin is None or "*" in self.rules.origins or origin.lower() in self.rules.origins:
            return
        if headers.get("sec-fetch-site") == "same-origin":  # behind a proxy, `Host` may be another
            return
        if urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            raise Refused(403, "pages of other sites may not ask this server; --cors names those that may")

    async def _read(self, headers: Headers, receive: Receive) -> Receive:
        """A `receive` that gives the whole body at once: no work begins, and none waits, before it has arrived."""
        most = self.rules.request
        too_large = Refused(413, f"the request has more than {most:,} bytes, which --request allows")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(PATIENCE):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return receive
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            raise Refused(408, f"the request did not arrive in {PATIENCE:.0f} s") from None
        whole: list[Mapping[str, object]] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return dict(whole.pop()) if whole else await receive()

        return replay


def wrong_key() -> Refused:
    """Nobody learns whether a key was missing or wrong."""
    return Refused(401, "this server needs an API key; send it as Authorization: Bearer KEY")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


async def _refuse(error: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":  # a browser shows its page nothing of a handshake that fails
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await websocket.send_text(strict_json.dumps(described(error, error.status)))
        await websocket.close(CLOSED)
        return
    response = answer(error)
    if error.status in (408, 413):  # what is left of the request is not read
        response.headers["Connection"] = "close"
    await response(scope, receive, send)
