from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from elman.serve import Sessions

MANY = 10_000_000  # tokens: nobody waits for so many


def say(socket: WebSocketTestSession, **message: Any) -> None:
    socket.send_text(json.dumps(message))


def hear(socket: WebSocketTestSession) -> Any:
    return json.loads(socket.receive_text())


def answer_to(socket: WebSocketTestSession, number: int) -> tuple[list[Any], Any]:
    """The events of a message, and its answer or error."""
    events = []
    while True:
        told = hear(socket)
        assert told.pop("request") == number
        if "answer" in told or "error" in told:
            return events, told
        events.append(told)


def test_a_session_lives_over_a_socket_as_it_does_in_python(client: TestClient, sessions: Sessions) -> None:
    alone, session = sessions.create(), sessions.create()
    with client.websocket_connect(f"ws://127.0.0.1:8000/v1/sessions/{session.id}/socket") as socket:
        # All at once: they are answered one after the other.
        say(socket, do="feed", request=1, text="the cat ")
        say(socket, do="checkpoint", request=2)
        say(socket, do="generate", request=3, tokens=40, seed=5)
        say(socket, do="describe", request=4)
        say(socket, do="rollback", request=5, to=3)
        say(socket, do="fork", request=6)
        say(socket, do="watch", request=7)
        assert answer_to(socket, 1) == ([], {"answer": alone.feed(text="the cat ")})
        _, kept = answer_to(socket, 2)
        assert kept["answer"]["position"] == 8
        events, told = answer_to(socket, 3)
        whole = alone.generate(tokens=40, seed=5).answer
        assert told == {"answer": whole}
        assert "".join(event["text"] for event in events) == whole["text"]
        _, now = answer_to(socket, 4)
        assert (now["answer"]["position"], now["answer"]["checkpoints"]) == (48, [kept["answer"]])
        assert "".join(now["answer"]["pieces"]) == "the cat " + whole["text"]
        assert answer_to(socket, 5)[1] == {"answer": {"id": session.id, "position": 3}}
        _, fork = answer_to(socket, 6)
        assert (fork["answer"]["parent"], fork["answer"]["position"]) == (session.id, 3)
        assert answer_to(socket, 7)[1]["answer"]["to"] == 3


def test_stop_ends_what_runs(client: TestClient, sessions: Sessions) -> None:
    session = sessions.create()
    with client.websocket_connect(f"ws://127.0.0.1:8000/v1/sessions/{session.id}/socket") as socket:
        say(socket, do="generate", request=1, tokens=MANY, seed=1, temperature=1)
        assert hear(socket)["text"]
        say(socket, do="stop")
        _, told = answer_to(socket, 1)
        assert told["answer"]["finished"] == "cancelled"
        assert 0 < told["answer"]["position"] < MANY
        say(socket, do="stop")  # nothing runs
        say(socket, do="feed", request=2, text="a")
        assert answer_to(socket, 2)[1]["answer"]["position"] == told["answer"]["position"] + 1


def test_who_goes_away_stops_what_runs_and_keeps_the_session(client: TestClient, sessions: Sessions) -> None:
    session = sessions.create()
    with client.websocket_connect(f"ws://127.0.0.1:8000/v1/sessions/{session.id}/socket") as socket:
        say(socket, do="generate", request=1, tokens=MANY, seed=1)
        hear(socket)
    for _ in range(200):
        if not session.describe()["busy"]:
            break
        client.get("/healthz")
    position = session.position
    assert 0 < position < MANY
    assert session.feed(text="a")["position"] == position + 1


def test_wrong_messages_are_answered_and_the_conversation_goes_on(client: TestClient, sessions: Sessions) -> None:
    session = sessions.create()
    with client.websocket_connect(f"ws://127.0.0.1:8000/v1/sessions/{session.id}/socket") as socket:
        for wrong in (
            "{",
            "[]",
            '"x"',
            "NaN",
            '{"do": "\\ud800"}',
            "{}",
            '{"do": 3}',
            '{"do": ["feed"]}',
            '{"do": "x"}',
        ):
            socket.send_text(wrong)
            told = hear(socket)
            assert told["request"] is None
            assert told["error"]["type"] == "invalid_request_error"
        socket.send_bytes(b"\xff")
        assert "error" in hear(socket)
        for number, wrong_fields in enumerate(
            ({"tokens": [1e9]}, {"text": 3}, {"nothing": 3}, {"text": "a", "values": []})
        ):
            say(socket, do="feed", request=number, **wrong_fields)
            assert "error" in answer_to(socket, number)[1]
        say(socket, do="rollback", request="x")
        assert hear(socket)["error"]["message"].startswith("to: expected a value")
        say(socket, do="feed", request=9, text="a")
        assert answer_to(socket, 9)[1]["answer"]["position"] == 1


def test_an_unknown_session_has_no_socket(client: TestClient) -> None:
    with client.websocket_connect("ws://127.0.0.1:8000/v1/sessions/AAAAAAAAAAAAAAAAAAAAAA/socket") as socket:
        assert hear(socket)["error"]["code"] == "not_found"
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()


def test_a_session_that_ends_meanwhile(client: TestClient, sessions: Sessions) -> None:
    session = sessions.create()
    with client.websocket_connect(f"ws://127.0.0.1:8000/v1/sessions/{session.id}/socket") as socket:
        session.close()
        say(socket, do="feed", request=1, text="a")
        assert answer_to(socket, 1)[1]["error"]["code"] == "not_found"
