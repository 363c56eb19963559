"""A server among clients that leave, send garbage and fill its queue, and on a disk that is full for a while."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from elman.serve import Sessions
from servers import Server, serving

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit")]

TURNS = 90
LIMITS = ["--memory", "40KB", "--queue", "8", "--rows", "4", "--sessions", "60", "--request", "20KB"]
PROMPT = "the cat sat "
MANY = 20_000  # tokens


class Question(NamedTuple):
    """What an honest session asks, and what it is answered alone."""

    text: str
    asked: dict[str, Any]
    written: str
    position: int


@pytest.fixture(scope="module")
def questions(trained: Path) -> list[list[Question]]:
    """Of six sessions."""
    found = []
    with Sessions(trained) as sessions:
        for number in range(6):
            session, own = sessions.create(), []
            for turn in range(TURNS // 6):
                asked, text = {"tokens": 20, "seed": 100 * number + turn}, f"a dog {'ran to ' * (turn % 3)}"
                session.feed(text=text)
                answer = sessions.submit(session.id, "generate", asked).result()
                own.append(Question(text, asked, answer["text"], answer["position"]))
            found.append(own)
    return found


class Vandal:
    """Does what no client should, in an order that its seed fixes. It expects 4xx at worst."""

    def __init__(self, server: Server) -> None:
        self.server, self.random, self.open = server, random.Random(5), list[socket.socket]()
        self.statuses: Counter[int] = Counter()
        self.disk_is_full = False

    def act(self) -> None:
        """One deed."""
        deeds: list[Callable[[], None]] = [self.leave, self.send_garbage, self.crowd, self.ask_nonsense, self.hoard]
        self.random.choice(deeds)()
        for connection in self.open[: max(0, len(self.open) - 12)]:
            connection.close()
        del self.open[: max(0, len(self.open) - 12)]

    def post(self, path: str, body: Any) -> Any:
        """An answer, which is no failure of the server's."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = self.server.http.post(path, content=content, headers={"Content-Type": "application/json"})
        self.statuses[response.status_code] += 1
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert response.json()["error"]["message"]
            assert ("retry-after" in response.headers) == (response.status_code == 429)
        return response.json()

    def raw(self, path: str, body: Any) -> socket.socket:
        """A request whose answer nobody waits for."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection = socket.create_connection(self.server.place, timeout=30)
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        return connection

    def leave(self) -> None:
        """Let a session write for ever, and go away after the first tokens, by a reset or without a word."""
        session = self.post("/v1/sessions", {}).get("id", "none")
        connection = self.raw(f"/v1/sessions/{session}/generate", {"tokens": MANY, "stream": True})
        connection.recv(500)
        if self.random.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        self.server.http.delete(f"/v1/sessions/{session}")

    def send_garbage(self) -> None:
        """Bytes that are no HTTP, or half of it."""
        connection = socket.create_connection(self.server.place, timeout=30)
        with contextlib.suppress(ConnectionError):
            connection.sendall(self.random.choice([b"GET / HT", b"", b"POST /v1/sessions HTTP/1.1\r\nContent-"]))
            connection.sendall(self.random.randbytes(3000))
        self.open.append(connection)

    def crowd(self) -> None:
        """More works than the queue holds; most of their clients never read an answer."""
        for _ in range(12):
            session = self.post("/v1/sessions", {}).get("id", "none")
            self.open.append(self.raw(f"/v1/sessions/{session}/generate", {"tokens": MANY, "stream": True}))
        self.post(f"/v1/sessions/{session}/generate", {"tokens": 1})

    def ask_nonsense(self) -> None:
        """Whole requests that ask for what there is not."""
        path = self.random.choice(["/v1/sessions", "/v1/sessions/x/feed", "/v1/completions", "/v1/models"])
        bodies = [b"\xff\0", b"[" * 5000, b'{"text": ' + b'"a' * 30_000, {"text": 3}, {"from": "../../etc"}, [], None]
        self.post(path, self.random.choice([*bodies, {"tokens": [2**70]}, {"state": "AAAA"}, {"text": "\ud800"}]))

    def hoard(self) -> None:
        """Open sessions that read much; the disk is full, or has room again."""
        limit = 0 if not self.disk_is_full else resource.RLIM_INFINITY
        hard = resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (limit, hard))
        self.disk_is_full = not self.disk_is_full
        for _ in range(4):
            self.post("/v1/sessions", {"text": PROMPT * 100})

    def end(self) -> None:
        """Leave everything."""
        for connection in self.open:
            connection.close()
        if self.disk_is_full:
            self.hoard()


@pytest.fixture
def server(trained: Path, tmp_path: Path) -> Iterator[Server]:
    with serving(trained, *LIMITS, "--folder", tmp_path / "sessions") as started:
        yield started


def patiently(server: Server, path: str, body: Any) -> Any:
    """An answer, in the end: what is full now is not full for ever."""
    for _ in range(600):
        response = server.http.post(path, json=body)
        if response.status_code not in (429,):
            assert response.status_code < 300, response.text
            return response.json()
        time.sleep(0.05)
    raise AssertionError("the server stays full")


def test_honest_sessions_among_vandals(server: Server, questions: list[list[Question]]) -> None:
    honest = [patiently(server, "/v1/sessions", {})["id"] for _ in questions]
    vandal = Vandal(server)
    for turn in range(TURNS):
        vandal.act()
        number, place = turn % 6, turn // 6
        question = questions[number][place]
        patiently(server, f"/v1/sessions/{honest[number]}/feed", {"text": question.text})
        answer = patiently(server, f"/v1/sessions/{honest[number]}/generate", question.asked)
        assert (answer["text"], answer["position"]) == (question.written, question.position)
    vandal.end()
    assert vandal.statuses.keys() >= {201, 400, 413, 429}, vandal.statuses
    deadline = time.monotonic() + 30
    while "\nelman_running 0.0" not in (metrics := server.http.get("/metrics").text):
        assert time.monotonic() < deadline, "works of clients that left go on"
        time.sleep(0.05)
    assert float(metrics.partition("\nelman_evictions_total ")[2].split()[0]) > 0
    assert server.http.get("/healthz").status_code == 200
    code, err = server.stop()
    assert (code, err) == (143, "")


def test_a_disk_that_is_full_at_the_end(trained: Path, tmp_path: Path) -> None:
    with serving(trained, "--folder", tmp_path / "sessions") as server:
        server.post("/v1/sessions", {"text": PROMPT}, 201)
        hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, hard))
        code, err = server.stop()
        assert code == 1
        [line] = err.splitlines()
        assert line.startswith("elman: cannot write ")
        assert os.strerror(27) in line
