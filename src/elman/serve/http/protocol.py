"""HTTP/1.1 as uvicorn speaks it, with a time in which headers must arrive: uvicorn waits for them for ever."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 10.0  # seconds from a connection, or from the first bytes after an answer, to the end of a request's headers


class PromptProtocol(H11Protocol):
    """A connection that is closed where it says too little: one that sends its headers byte by byte holds no place."""

    late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Read, and expect a request where none is answered now."""
        super().data_received(data)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._forget()
        super().connection_lost(exc)

    def _expect(self) -> None:
        """Begin to wait, or go on, unless a request is answered or a WebSocket has the connection now."""
        idle = self.cycle is None or self.cycle.response_complete
        if not idle or self.transport.get_protocol() is not self:
            self._forget()
        elif self.late is None:
            self.late = self.loop.call_later(PATIENCE, self.timeout_keep_alive_handler)  # which closes

    def _forget(self) -> None:
        if self.late is not None:
            self.late.cancel()
            self.late = None
