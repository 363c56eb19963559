"""The load test of the server, small: nothing is mixed up, fails or takes too much memory while it is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serving.py"


def test_clients_and_a_server_that_is_killed(trained: Path) -> None:
    sizes = ["--clients", "12", "--sessions", "60", "--minutes", "0.4", "--memory", "300KB", "--seconds", "0"]
    command = [sys.executable, str(SCRIPT), str(trained), *sizes, "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=400).stdout)
    assert found["failures"] == []
    assert (found["mixed up"], found["failed"], found["memory over the limit"]) == (0, 0, 0)
    assert found["exit codes"] == [143, -9, 143]
    assert found["answers"] > 100
    assert found["left"] > 0
