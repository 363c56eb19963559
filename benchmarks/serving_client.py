"""A client of `elman serve` that costs little beside the server, and the server's process."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

AWAY = (ConnectionError, asyncio.IncompleteReadError)  # what a client sees of a server that ends


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__(f"{status}: {answer}")
        self.status, self.answer = status, answer


class Connection:
    """One connection, kept alive and opened again where it is lost."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer. Raises `Refusal`, and `ConnectionError` where the server is away."""
        status, headers = await self._send(method, path, body)
        assert self._reader is not None
        content = await self._reader.readexactly(int(headers.get("content-length", 0)))
        if not 200 <= status < 300:
            raise Refusal(status, json.loads(content))
        return json.loads(content) if headers.get("content-type") == "application/json" else content.decode()

    async def events(self, path: str, body: Any) -> AsyncIterator[dict[str, Any]]:
        """The objects of a stream, to its end."""
        status, headers = await self._send("POST", path, body)
        assert self._reader is not None
        if status != 200:
            raise Refusal(status, json.loads(await self._reader.readexactly(int(headers["content-length"]))))
        rest = b""
        while size := int(await self._line(), 16):
            *whole, rest = (rest + await self._reader.readexactly(size)).split(b"\n\n")
            await self._line()
            for event in whole:
                if event != b"data: [DONE]":
                    yield json.loads(event.removeprefix(b"data: "))
        await self._line()

    def leave(self) -> None:
        """Close the connection at once, whatever is under way."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _send(self, method: str, path: str, body: Any) -> tuple[int, dict[str, str]]:
        try:
            if self._writer is None or self._writer.is_closing():
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
            assert self._reader is not None
            data = b"" if body is None else json.dumps(body).encode()
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
            self._writer.write(head.encode() + data)
            status = int((await self._line()).split()[1])
            headers = {}
            while line := await self._line():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
        except AWAY:
            self.leave()
            raise
        return status, headers

    async def _line(self) -> str:
        assert self._reader is not None
        return (await self._reader.readuntil(b"\r\n")).decode().rstrip("\r\n")


class ServerProcess:
    """`elman serve` as a process, started again at the same port."""

    def __init__(self, run: Path, *options: str) -> None:
        self.command = [sys.executable, "-m", "elman", "serve", str(run), *options, "--json"]
        self.port = 0
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start, and wait until it listens."""
        command = [*self.command, "--port", str(self.port)]
        self.process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert self.process.stdout is not None
        if not (line := await self.process.stdout.readline()):
            raise RuntimeError("the server did not start")
        self.port = int(json.loads(line)["address"].rpartition(":")[2].strip("/"))

    async def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end. The exit code."""
        if self.process.returncode is None:
            self.process.send_signal(by)
        return await self.process.wait()

    @property
    def resident(self) -> int:
        """The bytes of RAM that the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.partition("VmRSS:")[2].split()[0])
