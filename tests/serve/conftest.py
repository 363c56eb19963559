from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from elman.serve import Sessions
from http_client import client_of


@pytest.fixture(scope="module")
def sessions(trained: Path) -> Iterator[Sessions]:
    """Sessions of one language model, called "run"."""
    with Sessions(trained, tokens=10**9) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(sessions: Sessions) -> Iterator[TestClient]:
    with client_of(sessions) as made:
        yield made
