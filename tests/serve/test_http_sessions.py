from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import elman
from elman.serve import Sessions
from http_client import client_of, error_of, events_of

UNKNOWN = "AAAAAAAAAAAAAAAAAAAAAA"
ROUTES = [
    ("GET", "", None),
    ("DELETE", "", None),
    ("POST", "/feed", {"text": "a"}),
    ("POST", "/generate", {"tokens": 1}),
    ("POST", "/generate", {"tokens": 1, "stream": True}),
    ("POST", "/fork", {}),
    ("POST", "/checkpoints", None),
    ("POST", "/rollback", {"to": 0}),
    ("GET", "/state", None),
    ("GET", "/state?format=json", None),
    ("POST", "/watch", {}),
]


@pytest.fixture
def opened(client: TestClient) -> str:
    return client.post("/v1/sessions", json={"text": "the cat "}).json()["id"]


def facts(client: TestClient, id: str) -> dict[str, Any]:
    return client.get(f"/v1/sessions/{id}").json()


def test_a_session_lives_over_http_as_it_does_in_python(client: TestClient, sessions: Sessions) -> None:
    alone = sessions.create()
    response = client.post("/v1/sessions", json={"model": "run", "text": "the cat ", "top": 3})
    assert response.status_code == 201
    told = response.json()
    assert response.headers["location"] == f"/v1/sessions/{told['id']}"
    assert (told["model"], told["position"], told["parent"]) == ("run", 8, None)
    assert told["answer"] == alone.feed(text="the cat ", top=3)

    address = f"/v1/sessions/{told['id']}"
    assert client.post(f"{address}/feed", json={"text": "sat"}).json() == alone.feed(text="sat")
    now = client.get(address).json()
    assert (now["position"], "".join(now["pieces"]), now["busy"]) == (11, "the cat sat", False)
    assert client.delete(address).status_code == 204
    error_of(client.get(address), 404)


def test_a_text_is_that_of_elman_generate(client: TestClient, opened: str, trained: Path) -> None:
    asked = {"tokens": 30, "seed": 7, "temperature": 0.9, "top_k": 8}
    text, _ = elman.load(trained).generate("the cat ", tokens=30, seed=7, temperature=0.9, top_k=8)
    answer = client.post(f"/v1/sessions/{opened}/generate", json=asked).json()
    assert (answer["text"], answer["finished"], answer["position"]) == (text, "length", 38)
    assert answer["seed"] == 7


def test_a_stream_tells_the_same_as_an_answer(client: TestClient, opened: str) -> None:
    fork = client.post(f"/v1/sessions/{opened}/fork", json={}).json()
    assert fork["parent"] == opened
    asked = {"tokens": 40, "seed": 3, "log_probabilities": 2}
    whole = client.post(f"/v1/sessions/{opened}/generate", json=asked).json()
    *events, last = events_of(client.post(f"/v1/sessions/{fork['id']}/generate", json={**asked, "stream": True}))
    assert events
    assert last == {"answer": whole}
    assert "".join(event["text"] for event in events) == whole["text"]
    assert [token for event in events for token in event["tokens"]] == whole["tokens"]
    assert events[-1]["position"] == whole["position"]
    assert facts(client, fork["id"])["pieces"] == facts(client, opened)["pieces"]


def test_forks_checkpoints_and_rollbacks(client: TestClient, opened: str) -> None:
    address = f"/v1/sessions/{opened}"
    kept = client.post(f"{address}/checkpoints")
    assert kept.status_code == 201
    assert kept.json()["position"] == 8
    then = client.post(f"{address}/feed", json={"text": ""}).json()["next"]
    client.post(f"{address}/feed", json={"text": "sat on"})
    assert facts(client, opened)["checkpoints"] == [kept.json()]

    early = client.post(f"{address}/fork", json={"at": 3}).json()
    assert early["position"] == 3
    assert "".join(facts(client, early["id"])["pieces"]) == "the"
    other = client.post("/v1/sessions", json={"from": opened, "at": kept.json()["id"], "text": "ran"}).json()
    assert (other["position"], other["parent"], other["answer"]["read"]) == (11, opened, 3)

    back = client.post(f"{address}/rollback", json={"to": kept.json()["id"]})
    assert back.json() == {"id": opened, "position": 8}
    assert client.post(f"{address}/feed", json={"text": ""}).json()["next"] == then
    assert client.post(f"{address}/rollback", json={"to": 3}).json()["position"] == 3
    error_of(client.post(f"{address}/rollback", json={"to": 9}), 400)
    error_of(client.post(f"{address}/rollback", json={"to": "nowhere"}), 404)


def test_a_state_goes_out_and_comes_in(client: TestClient, opened: str) -> None:
    response = client.get(f"/v1/sessions/{opened}/state")
    assert response.headers["content-type"] == "application/octet-stream"
    state = base64.b64encode(response.content).decode()
    told = client.post("/v1/sessions", json={"state": state}).json()
    assert told["position"] == 8
    asked = {"tokens": 20, "seed": 1}
    texts = [client.post(f"/v1/sessions/{id}/generate", json=asked).json()["text"] for id in (opened, told["id"])]
    assert texts[0] == texts[1]
    assert client.get(f"/v1/sessions/{opened}/state?format=json").json()
    for wrong in ("", "AAAA", "no base64!", base64.b64encode(response.content[:-1]).decode()):
        error_of(client.post("/v1/sessions", json={"state": wrong}), 400)


@pytest.mark.parametrize(("method", "route", "body"), ROUTES)
def test_an_unknown_session_is_not_found(client: TestClient, method: str, route: str, body: Any) -> None:
    for id in (UNKNOWN, "..", "%00", "a" * 5000):
        response = client.request(method, f"/v1/sessions/{id}{route}", json=body)
        assert response.status_code in (404, 405), response.text


def test_a_session_whose_first_feed_fails_was_never_there(client: TestClient, sessions: Sessions) -> None:
    before = sessions.stats()["sessions"]
    error_of(client.post("/v1/sessions", json={"tokens": [10**6]}), 400)
    error_of(client.post("/v1/sessions", json={"model": "other"}), 404)
    error_of(client.post("/v1/sessions", json={"at": 1}), 400)
    error_of(client.post("/v1/sessions", json={"from": UNKNOWN}), 404)
    error_of(client.post("/v1/sessions", json={"from": UNKNOWN, "model": "run"}), 400)
    assert sessions.stats()["sessions"] == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body"),
        (b"{", "the body is not valid JSON"),
        (b"[1]", "the body"),
        (b'{"tokens": NaN}', "NaN"),
        (b'{"temperature": 1e999}', "too large"),
        (b'{"text": "\\ud800"}', "half of a character"),
        (b'{"text": "\xff"}', "UTF-8"),
        (b'{"a": ' + b"[" * 100_000, "too deeply"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"tokens": 0}', "tokens: expected greater than or equal to 1, got 0"),
        (b'{"tokens": "3"}', "tokens: expected a valid integer"),
        (b'{"tokens": true}', "tokens: expected a valid integer"),
        (b'{"temprature": 1}', "temprature"),
        (b'{"seed": -1}', "seed"),
        (b'{"stop": ["a", "b", "c", "d", "e"]}', "stop"),
        (b'{"set": [{"layer": 1, "x": 1}]}', "set"),
    ],
)
def test_a_wrong_body_is_refused_in_one_sentence(client: TestClient, opened: str, body: bytes, said: str) -> None:
    json_type = {"Content-Type": "application/json"}
    response = client.post(f"/v1/sessions/{opened}/generate", content=body, headers=json_type)
    assert said in error_of(response, 400)["message"]
    assert facts(client, opened)["position"] == 8


def test_whole_numbers_may_be_written_with_a_point(client: TestClient, opened: str) -> None:
    answer = client.post(f"/v1/sessions/{opened}/generate", json={"tokens": 2.0, "seed": 1.0, "temperature": 1})
    assert len(answer.json()["tokens"]) == 2


def test_a_form_of_another_site_is_no_request(client: TestClient, opened: str) -> None:
    """A page may send a form or a text anywhere, and its browser asks nobody; it may not send JSON."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        body = json.dumps({"text": "a"})
        error_of(client.post("/v1/sessions", content=body, headers={"Content-Type": kind}), 400)


def test_what_a_session_watches_is_answered(client: TestClient, opened: str) -> None:
    answer = client.post(f"/v1/sessions/{opened}/watch", json={"from": 2, "unit": 1}).json()
    assert (answer["from"], answer["to"], "".join(answer["pieces"])) == (2, 8, "e cat ")
    error_of(client.post(f"/v1/sessions/{opened}/watch", json={"to": 100}), 400)


def test_addresses_and_methods_that_are_not_there(client: TestClient, opened: str) -> None:
    assert error_of(client.get("/v1/nothing"), 404)["code"] == "not_found"
    response = client.put(f"/v1/sessions/{opened}")
    error_of(response, 405)
    assert response.headers["allow"] == "DELETE, GET"


def test_a_server_that_stops_takes_no_work(sessions: Sessions) -> None:
    with client_of(sessions) as client:
        id = client.post("/v1/sessions", json={}).json()["id"]
        client.app.state.works.park()  # type: ignore[attr-defined]
        error_of(client.post(f"/v1/sessions/{id}/feed", json={"text": "a"}), 503)
        error_of(client.get("/readyz"), 503)
        assert client.get("/healthz").status_code == 200
