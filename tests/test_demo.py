"""`make demo` goes from a text to what a model remembers, and names the report."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from elman.cli import run

MAKEFILE = Path(__file__).parents[1] / "Makefile"


def test_the_demo(
    plain_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    lines = [line.removeprefix("\t@") for line in recipe[1].splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("$(BIN)/elman ")]
    assert [command[0] for command in commands] == ["train", "generate", "inspect"]
    small = {"python-stdlib": [str(plain_text)], "--for": ["--steps"], "1m": ["2", "--set", "hidden_size=8"]}
    monkeypatch.chdir(tmp_path)
    for command in commands:
        assert run([word for given in command for word in small.get(given, [given])]) == 0, capsys.readouterr().err
    assert "the report is in runs/demo/report.html" in capsys.readouterr().err
    assert lines[-1].endswith("runs/demo/report.html'")
    assert (tmp_path / "runs" / "demo" / "report.html").exists()
