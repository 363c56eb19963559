from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from elman.errors import UserError
from elman.serve import Sessions
from elman.serve.http import keys
from elman.serve.http.app import make_app
from elman.serve.http.gate import Rules
from http_client import client_of, error_of

KEYS = ("first-key-0123456789", "second-key-0123456789")


@pytest.fixture
def locked(sessions: Sessions) -> Iterator[TestClient]:
    with client_of(sessions, Rules(keys.Keys(KEYS))) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_key_opens_every_route_and_nothing_else_does(locked: TestClient) -> None:
    for key in KEYS:
        assert locked.get("/v1/models", headers=bearer(key)).status_code == 200
    wrong: list[dict[str, Any]] = [
        {}, bearer(""), bearer(KEYS[0][:-1]), bearer(KEYS[0] + "x"), {"Authorization": KEYS[0]},
        {"Authorization": f"Basic {KEYS[0]}"}, {"Authorization": b"Bearer \xe4"},
    ]  # fmt: skip
    described = locked.get("/openapi.json").json()["paths"]
    asked = [(method, path) for path, operations in described.items() for method in operations]
    asked = [(method, path) for method, path in asked if path not in ("/healthz", "/readyz")]
    assert len(asked) >= 14
    for method, path in asked:
        for headers in wrong:
            response = locked.request(method.upper(), path, headers=headers)
            assert error_of(response, 401)["code"] == "invalid_api_key"
            assert response.headers["www-authenticate"] == "Bearer"


def test_the_page_its_description_and_the_health_need_no_key(locked: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/docs", "/docs/start.js", "/openapi.json", "/web/style.css"):
        assert locked.get(path).status_code == 200, path
    described = locked.get("/openapi.json").json()
    assert described["security"] == [{"key": []}]
    error_of(locked.get("/v1/nothing"), 401)  # nor does it tell what there is


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return hmac_compare(a, b)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    held = keys.Keys(KEYS)
    assert held.open(KEYS[0])
    assert not held.open("x")
    assert compared == [(32, 32)] * 4


def test_a_file_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# ours\n\n  {KEYS[0]}  \n{KEYS[1]}\n")
    assert all(keys.read(path).open(key) for key in KEYS)
    assert not keys.read(path).open("# ours")
    for content in ("", "# none\n", "short\n", f"{KEYS[0]} {KEYS[1]}\n", "schlüssel-schlüssel-schlüssel\n"):
        path.write_text(content)
        with pytest.raises(UserError):
            keys.read(path)
    with pytest.raises(UserError, match="missing"):
        keys.read(tmp_path / "none")


def test_names_that_lead_here_from_elsewhere_are_refused(client: TestClient, sessions: Sessions) -> None:
    """A site may let its own name lead to 127.0.0.1, so that its page is of one origin with this server."""
    for host in ("localhost", "localhost:1234", "LOCALHOST", "127.0.0.1:8000", "127.0.0.9", "[::1]:8000"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost@evil.example", "[::2]", "a:b:c"):
        assert error_of(client.get("/v1/models", headers={"Host": host}), 403), host
    with client_of(sessions, Rules(loopback=False)) as anywhere:
        assert anywhere.get("/healthz", headers={"Host": "elman.example"}).status_code == 200


def test_a_large_request_is_refused_while_it_arrives(sessions: Sessions) -> None:
    headers = {"Content-Type": "application/json"}
    with client_of(sessions, Rules(request=10_000)) as client:
        response = client.post("/v1/sessions", content=b"{}" + b" " * 9_998, headers=headers)
        assert response.status_code == 201
        error = error_of(client.post("/v1/sessions", content=b"{}" + b" " * 9_999, headers=headers), 413)
        assert "10,000 bytes" in error["message"]


def test_no_more_of_a_large_request_is_read_than_is_allowed(sessions: Sessions) -> None:
    """Its length is not told before, as that of a chunked request is not."""
    taken, sent = 0, []

    async def receive() -> Any:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b" " * 1000, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/sessions", "headers": [(b"host", b"localhost")]}
    asyncio.run(make_app(sessions, Rules(request=10_000))(scope, receive, send))
    assert sent[0]["status"] == 413
    assert taken == 11


def test_a_full_server_says_when_to_come_again(sessions: Sessions) -> None:
    with client_of(sessions, Rules(in_flight=0)) as client:
        response = client.get("/v1/models")
        assert "at work" in error_of(response, 429)["message"]
        assert int(response.headers["retry-after"]) >= 1
        assert client.get("/healthz").status_code == 200
    with client_of(sessions, Rules(in_flight=1)) as client:  # whatever becomes of a request, its place is free again
        for path in ("/v1/models", "/v1/nothing", "/v1/sessions/x"):
            assert client.get(path).status_code != 429
        error_of(client.post("/v1/sessions", content=b"{"), 400)
        assert client.get("/v1/models").status_code == 200


def test_other_sites_may_ask_where_they_are_named(client: TestClient, sessions: Sessions) -> None:
    site = {"Origin": "https://example.org"}
    asking = {**site, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert "access-control-allow-origin" not in client.get("/v1/models", headers=site).headers
    assert client.options("/v1/sessions", headers=asking).status_code == 405
    with client_of(sessions, Rules(origins=["https://example.org"], in_flight=1)) as open_to_one:
        response = open_to_one.get("/v1/models", headers=site)
        assert response.headers["access-control-allow-origin"] == "https://example.org"
        assert open_to_one.options("/v1/sessions", headers=asking).status_code == 200
        assert open_to_one.post("/v1/sessions", json={}, headers=site).status_code == 201
        response = open_to_one.options("/v1/sessions", headers={**asking, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in response.headers


def test_pages_of_other_sites_may_send_nothing(client: TestClient) -> None:
    """Such as a form without a type, for which a browser asks nobody."""
    for site in ("https://evil.example", "null", "http://127.0.0.1:9000", ""):
        error_of(client.post("/v1/sessions", json={}, headers={"Origin": site}), 403)
        error_of(client.delete("/v1/sessions/x", headers={"Origin": site}), 403)
    assert client.post("/v1/sessions", json={}, headers={"Origin": "http://127.0.0.1:8000"}).status_code == 201
    behind_a_proxy = {"Origin": "https://example.org", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/v1/sessions", json={}, headers=behind_a_proxy).status_code == 201


def first_message(client: TestClient, path: str, headers: dict[str, str], said: Any = None) -> Any:
    with client.websocket_connect(path, headers=headers) as socket:
        if said is not None:
            socket.send_text(json.dumps(said))
        return json.loads(socket.receive_text())


def test_a_websocket_of_another_site_or_without_a_key_is_refused(
    client: TestClient, locked: TestClient, sessions: Sessions
) -> None:
    path = f"ws://127.0.0.1:8000/v1/sessions/{sessions.create().id}/socket"
    describe = {"do": "describe", "request": 1}
    assert "answer" in first_message(client, path, {"Origin": "http://127.0.0.1:8000"}, describe)
    assert first_message(client, path, {"Origin": "https://evil.example"})["error"]["type"] == "permission_error"
    with client_of(sessions, Rules(origins=["https://example.org"])) as open_to_one:
        assert "answer" in first_message(open_to_one, path, {"Origin": "https://example.org"}, describe)

    assert "answer" in first_message(locked, path, bearer(KEYS[1]), describe)
    assert first_message(locked, path, bearer("wrong"))["error"]["code"] == "invalid_api_key"
    for wrong in ({"key": "wrong"}, {"key": 3}, [], describe):
        assert first_message(locked, path, {}, wrong)["error"]["code"] == "invalid_api_key"
    with locked.websocket_connect(path) as socket:
        socket.send_text(json.dumps({"key": KEYS[0]}))
        socket.send_text(json.dumps(describe))
        assert json.loads(socket.receive_text())["answer"]["id"]
