"""`elman serve` over loopback: its clients, clients that leave, and its end."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import elman
from servers import Server, serving

pytestmark = pytest.mark.slow

MANY = 10_000_000  # tokens: nobody waits for so many
PROMPT = "the cat sat "


@pytest.fixture(scope="module")
def run(trained: Path) -> elman.Run:
    return elman.load(trained)


@pytest.fixture(scope="module")
def server(trained: Path) -> Iterator[Server]:
    with serving(trained, "--tokens", MANY) as started:
        yield started
        code, err = started.stop()
        assert (code, err) == (143, "")


def until(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


def facts(server: Server, id: str) -> Any:
    return server.http.get(f"/v1/sessions/{id}").json()


def idle(server: Server, id: str) -> Any:
    until(lambda: not facts(server, id)["busy"])
    return facts(server, id)


def test_the_openai_package_is_a_client(server: Server, run: elman.Run) -> None:
    client = openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == ["run"]
    assert client.models.retrieve("run").owned_by == "elman"
    text, _ = run.generate(PROMPT, tokens=40, seed=3, temperature=1.0)
    asked: dict[str, Any] = {"model": "run", "prompt": PROMPT, "max_tokens": 40, "seed": 3}
    answer = client.completions.create(**asked, logprobs=2)
    assert answer.choices[0].text == text
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 40
    assert answer.choices[0].logprobs is not None
    assert "".join(answer.choices[0].logprobs.tokens or []) == text

    parts = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(part.choices[0].text for part in parts if part.choices) == text
    assert parts[-1].usage == answer.usage
    with pytest.raises(openai.NotFoundError, match="no model called"):
        client.completions.create(model="other", prompt="")
    with pytest.raises(openai.BadRequestError, match="suffix is not supported"):
        client.completions.create(model="run", prompt="", suffix="x")


def test_many_clients_at_once_get_what_each_gets_alone(server: Server, run: elman.Run) -> None:
    import concurrent.futures

    def ask(seed: int) -> str:
        prompt = PROMPT[: 1 + seed % len(PROMPT)]
        id = server.post("/v1/sessions", {"text": prompt}, 201)["id"]
        text = server.post(f"/v1/sessions/{id}/generate", {"tokens": 60, "seed": seed})["text"]
        server.http.delete(f"/v1/sessions/{id}")
        return text

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        texts = list(pool.map(ask, range(48)))
    for seed, text in enumerate(texts):
        alone, _ = run.generate(PROMPT[: 1 + seed % len(PROMPT)], tokens=60, seed=seed)
        assert text == alone, seed


def raw(server: Server, path: str, body: Any) -> socket.socket:
    """A connection over which a request was sent."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection = socket.create_connection(server.place, timeout=30)
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    return connection


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("abrupt", [True, False])
def test_a_client_that_goes_away_stops_its_generation_and_keeps_its_session(
    server: Server, stream: bool, abrupt: bool
) -> None:
    id = server.post("/v1/sessions", {"text": PROMPT}, 201)["id"]
    connection = raw(server, f"/v1/sessions/{id}/generate", {"tokens": MANY, "seed": 1, "stream": stream})
    if stream:
        assert b"text/event-stream" in connection.recv(1000)
    until(lambda: facts(server, id)["busy"])
    if abrupt:  # by a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    position = idle(server, id)["position"]
    assert len(PROMPT) <= position < MANY
    time.sleep(0.1)
    assert facts(server, id)["position"] == position
    assert server.post(f"/v1/sessions/{id}/feed", {"text": "a"})["position"] == position + 1


def test_a_client_that_reads_nothing_holds_up_nobody(server: Server) -> None:
    id = server.post("/v1/sessions", {}, 201)["id"]
    connection = raw(server, f"/v1/sessions/{id}/generate", {"tokens": 30_000, "seed": 1, "stream": True})
    other = server.post("/v1/sessions", {"text": PROMPT}, 201)["id"]
    assert len(server.post(f"/v1/sessions/{other}/generate", {"tokens": 50})["tokens"]) == 50
    assert idle(server, id)["position"] >= 30_000  # written though nobody reads
    connection.close()


def test_a_websocket_speaks_and_leaves(server: Server, run: elman.Run) -> None:
    id = server.post("/v1/sessions", {"text": PROMPT}, 201)["id"]
    address = server.address.replace("http", "ws")
    with connect(f"{address}/v1/sessions/{id}/socket") as client:
        client.send(json.dumps({"do": "generate", "request": 1, "tokens": 40, "seed": 3}))
        text = ""
        while "answer" not in (told := json.loads(client.recv())):
            text += told["text"]
        assert text == told["answer"]["text"] == run.generate(PROMPT, tokens=40, seed=3)[0]
        client.send(json.dumps({"do": "generate", "request": 2, "tokens": MANY}))
        assert json.loads(client.recv())["request"] == 2
        client.socket.close()  # without a word
    assert idle(server, id)["position"] < MANY
    with connect(f"{address}/v1/sessions/unknown/socket") as client:
        assert json.loads(client.recv())["error"]["code"] == "not_found"
        with pytest.raises(ConnectionClosed):
            client.recv()
    with connect(f"{address}/v1/sessions/{id}/socket", max_size=None) as client:
        with contextlib.suppress(ConnectionClosed, ConnectionError):
            client.send("x" * 9_000_000)
        with pytest.raises((ConnectionClosed, ConnectionError)):
            client.recv()


def test_garbage_is_refused_and_the_server_goes_on(server: Server) -> None:
    pieces = [b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 200_000, b"{}\r\n\r\n"]
    pieces += [b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"]
    pieces += [b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]
    for piece in pieces:
        with socket.create_connection(server.place, timeout=30) as connection:
            connection.sendall(piece)
            connection.settimeout(2)
            with contextlib.suppress(ConnectionResetError, TimeoutError):  # what is no whole request waits
                assert not connection.recv(4096).startswith(b"HTTP/1.1 5"), piece
    large = b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"
    with socket.create_connection(server.place, timeout=30) as connection:
        connection.sendall(large)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    assert server.http.get("/healthz").status_code == 200


def test_a_server_that_stops_lets_short_works_finish_and_parks_long_ones(trained: Path, tmp_path: Path) -> None:
    with serving(trained, "--folder", tmp_path, "--tokens", MANY) as server:
        ids = [server.post("/v1/sessions", {"text": PROMPT}, 201)["id"] for _ in range(2)]
        with (
            server.http.stream(
                "POST", f"/v1/sessions/{ids[0]}/generate", json={"tokens": MANY, "stream": True}
            ) as long,
            connect(f"{server.address.replace('http', 'ws')}/v1/sessions/{ids[1]}/socket") as talking,
        ):
            lines = (line for line in long.iter_lines() if line)
            next(lines)
            talking.send(json.dumps({"do": "generate", "request": 1, "tokens": MANY}))
            talking.recv()
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)  # once more: do not wait
            *_, answer, done = lines
            assert json.loads(answer.removeprefix("data: "))["answer"]["finished"] == "cancelled"
            assert done == "data: [DONE]"
            with contextlib.suppress(ConnectionClosed):
                for _ in talking:
                    pass
        assert server.end() == (143, "")
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.address)
    assert len(list(tmp_path.glob("*.session"))) == 2


def test_sessions_go_on_after_a_restart_as_if_there_was_none(trained: Path, tmp_path: Path) -> None:
    asked = {"tokens": 40, "seed": 5, "log_probabilities": 5}
    with serving(trained, "--folder", tmp_path, "--memory", "20KB") as server:
        ids = [server.post("/v1/sessions", {"text": PROMPT * (n + 1)}, 201)["id"] for n in range(6)]
        kept = server.http.post(f"/v1/sessions/{ids[0]}/checkpoints").json()
        server.post(f"/v1/sessions/{ids[0]}/feed", {"text": "on a mat"})
        before = {id: facts(server, id) | {"idle": None, "bytes": None} for id in ids}
        states = {id: server.http.get(f"/v1/sessions/{id}/state").content for id in ids}
        alone = {}
        for id in ids:
            fork = server.post(f"/v1/sessions/{id}/fork", {}, 201)["id"]
            alone[id] = server.post(f"/v1/sessions/{fork}/generate", asked)
            server.http.delete(f"/v1/sessions/{fork}")
        assert server.stop(signal.SIGINT)[0] == 130
    with serving(trained, "--folder", tmp_path) as server:
        for id in ids:
            assert facts(server, id) | {"idle": None, "bytes": None} == before[id]
            assert server.http.get(f"/v1/sessions/{id}/state").content == states[id]  # bit by bit
            assert server.post(f"/v1/sessions/{id}/generate", asked) == alone[id]
        assert server.post(f"/v1/sessions/{ids[0]}/rollback", {"to": kept["id"]})["position"] == kept["position"]
        code, err = server.stop()
        assert (code, err) == (143, "elman: restored 6 sessions\n".removeprefix("elman: "))


def test_two_runs_keys_and_a_copy_of_a_run(trained: Path, tmp_path: Path) -> None:
    other = shutil.copytree(trained, tmp_path / "other")
    keys = tmp_path / "keys"
    keys.write_text("a-key-of-24-characters-00\n")
    with serving(trained, other, "--api-key-file", keys) as server:
        assert server.models == ["run", "other"]
        assert server.http.get("/v1/models").status_code == 401
        server.http.headers["Authorization"] = "Bearer a-key-of-24-characters-00"
        assert [model["id"] for model in server.http.get("/v1/models").json()["data"]] == ["run", "other"]
        assert "model" in server.post("/v1/sessions", {}, 404)["error"]["message"]
        assert server.post("/v1/sessions", {"model": "other"}, 201)["model"] == "other"
        client = openai.OpenAI(base_url=f"{server.address}/v1", api_key="wrong", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
        assert server.stop() == (143, "")


def test_a_port_that_is_taken(server: Server, trained: Path) -> None:
    command = [sys.executable, "-m", "elman", "serve", str(trained), "--port", str(server.place[1])]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"elman: cannot listen at 127.0.0.1:{server.place[1]}")
