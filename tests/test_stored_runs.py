"""Runs that earlier builds made still load, evaluate, write, are inspected and go on.

`stored_runs/format_1/` holds what elman 0.1.0 made of `text.txt` and `pairs.tsv` there, with models of eight units, and
what an earlier build said of each in `expected.json`. Texts are the most probable ones, whatever draws random numbers.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from elman.cli import run

STORED = Path(__file__).parent / "stored_runs" / "format_1"
EXPECTED: dict[str, dict[str, Any]] = json.loads((STORED / "expected.json").read_text())
CHECKPOINTED = [name for name in EXPECTED if (STORED / name / "checkpoints").is_dir()]


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored runs and their data in the current folder."""
    shutil.copytree(STORED, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("name", EXPECTED)
def test_a_stored_run_is_evaluated_and_writes_as_it_did(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    expected = EXPECTED[name]
    pairs = "predict" in expected
    assert run(["evaluate", name, "pairs.tsv" if pairs else "text.txt", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {key: found[key] for key in expected["evaluate"]} == pytest.approx(expected["evaluate"], rel=1e-4)
    if pairs:
        Path("lines.txt").write_text("one two\nfive\nnine zero three\n")
        assert run(["predict", name, "lines.txt"]) == 0
        assert capsys.readouterr().out.splitlines() == expected["predict"]
    else:
        assert run(["generate", name, "the cat", "--tokens", "40", "--temperature", "0", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["text"] == expected["generate"]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("name", CHECKPOINTED)
def test_a_stored_run_goes_on_and_is_inspected(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = "pairs.tsv" if "predict" in EXPECTED[name] else "text.txt"
    steps = json.loads((STORED / name / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert run(["train", data, "--resume", "-o", name, "--steps", str(steps + 2), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == steps + 2
    assert run(["inspect", name, "--parts", "clipping", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clipping"]["steps"] == list(range(1, steps + 3))
