"""A client in this process of a server over sessions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.testclient import TestClient

from elman.serve.http.app import make_app
from elman.serve.http.gate import Rules

ADDRESS = "http://127.0.0.1:8000"


@contextmanager
def client_of(sessions: Any, rules: Rules | None = None, address: str = ADDRESS) -> Iterator[TestClient]:
    with TestClient(make_app(sessions, rules), base_url=address) as client:
        yield client


def error_of(response: Any, status: int) -> dict[str, Any]:
    """The error in a response, which has the shape of all errors."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    error = response.json()["error"]
    assert list(error) == ["message", "type", "code", "param"]
    assert error["message"]
    assert "\n" not in error["message"]
    return error


def events_of(response: Any) -> list[Any]:
    """The objects of a stream of server-sent events, which is whole."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    parts = response.text.split("\n\n")
    assert parts[-2:] == ["data: [DONE]", ""]
    assert all(part.startswith("data: ") for part in parts[:-1])
    return [json.loads(part.removeprefix("data: ")) for part in parts[:-2]]
