from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.serve.limits import ServingLimits

Fails = Callable[[list[str | Path], int], str]


def test_every_limit_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    from elman.cli import run as command

    assert command(["serve", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, field in ServingLimits.model_fields.items():
        assert f"--{name.replace('_', '-')} " in told
        assert f"Default {field.default}." in told


def test_what_is_wrong_is_said_before_a_server_begins(fails: Fails, trained: Path, tmp_path: Path) -> None:
    assert "no such run" in fails(["serve", tmp_path / "none", "--port", "0"], 1)
    assert "memory" in fails(["serve", trained, "--memory", "much"], 2)
    assert "idle" in fails(["serve", trained, "--idle", "long"], 2)
    assert "--cors" in fails(["serve", trained, "--cors", "example.org"], 2)
    assert "no API key" in fails(["serve", trained, "--api-key-file", make(tmp_path / "keys", "# none\n")], 1)
    assert "two runs are called run" in fails(["serve", trained, trained, "--port", "0"], 1)
    assert "65535" in fails(["serve", trained, "--port", "65536"], 2)
    fails(["serve"], 2)


def make(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_an_address_that_is_taken_or_not_ours(fails: Fails, trained: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = fails(["serve", trained, "--port", str(port)], 1)
        assert said.startswith(f"elman: cannot listen at 127.0.0.1:{port}")
    assert "cannot listen at 203.0.113.1" in fails(["serve", trained, "--host", "203.0.113.1", "--port", "0"], 1)


def test_a_package_that_is_missing_is_named(fails: Fails, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without_fastapi(name: str, *others: Any) -> Any:
        return None if name == "fastapi" else find(name, *others)

    monkeypatch.setattr(importlib.util, "find_spec", without_fastapi)
    said = "elman: servers need the package 'fastapi', which is not installed; pip install 'elman[serve]'"
    assert fails(["serve", trained], 1) == said
