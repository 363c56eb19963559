"""`elman-run` says what `elman generate` and `elman predict` say."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import elman.cli
from elman_runner.command import main
from exported_runs import TEXT, exported
from test_against_elman import LABELS, PAIRS, SENTENCES, TAGS, TEXTS

Said = Callable[..., list[str]]


def _elman(arguments: list[str]) -> int:
    before, sys.argv = sys.argv, ["elman", *arguments]
    try:
        elman.cli.main()
    finally:
        sys.argv = before
    return 0


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Said:
    """The lines that a command prints, given lines on stdin."""

    def say(command: Callable[[list[str]], object], *arguments: object, lines: str = "", code: int = 0) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
        try:
            found = command([str(each) for each in arguments])
        except SystemExit as ended:
            found = ended.code
        assert (found or 0) == code
        return capfd.readouterr().out.splitlines()

    return say


def test_text(said: Said, tmp_path: Path) -> None:
    _, folder, _ = exported(tmp_path, TEXT, out=tmp_path / "run", model="lstm", lanes=4, k1=8)
    options = ["the", "--tokens", 50, "--seed", 3, "--top-p", 0.9]
    expected = said(_elman, "generate", tmp_path / "run", *options)
    assert said(main, folder, *options) == expected
    [line] = said(main, folder, *options, "--json")
    assert "the" + json.loads(line)["text"] == "\n".join(expected)


def test_lines(said: Said, tmp_path: Path) -> None:
    for name, data, options, lines in (
        ("tags", (SENTENCES, TAGS), {"task": "tagging"}, "the cat Paris\nNew dog\n"),
        ("labels", (TEXTS, LABELS), {"task": "classification"}, "good great\nbad awful\n"),
        ("pairs", (PAIRS,), {"tokenizer": "word"}, "a d x\nb e\n\n"),
    ):
        run = tmp_path / name / "run"
        _, folder, _ = exported(tmp_path / name, *data, out=run, **options)
        assert said(main, folder, lines=lines) == said(_elman, "predict", run, lines=lines)
        records = [json.loads(line) for line in said(main, folder, "--json", lines=lines)]
        assert len(records) == lines.count("\n")
        if name == "tags":
            theirs = [json.loads(line) for line in said(_elman, "predict", run, "--json", lines=lines)]
            assert [record["spans"] for record in records] == [record["spans"] for record in theirs]
    begun = ["--prefix", "E unheard"]
    assert said(main, folder, *begun, lines="a d x\n") == said(_elman, "predict", run, *begun, lines="a d x\n")
    drawn = ["--sample", "--seed", 4, "--nbest", 2, "--json"]
    expected = said(_elman, "predict", run, *drawn, lines="a d x\nb e\n")
    for ours, theirs in zip(
        map(json.loads, said(main, folder, *drawn, lines="a d x\nb e\n")), map(json.loads, expected), strict=True
    ):
        assert [each["text"] for each in ours["nbest"]] == [each["text"] for each in theirs["nbest"]]


def test_series(said: Said, tmp_path: Path) -> None:
    rows = [{"unique_id": "a", "ds": step, "y": step % 7} for step in range(90)]
    run, folder, _ = exported(tmp_path, rows, task="forecasting", horizon=3, window=20)
    values = [row["y"] for row in rows]
    lines = said(main, folder, lines=json.dumps({"unique_id": "a", "values": values}) + "\n[1, 2]\nno\n", code=1)
    assert lines[0] == "unique_id,step,mean,q10,q50,q90"
    [expected] = run.predict([rows])
    got = [float(cell) for cell in lines[1].split(",")[2:]]
    assert got == pytest.approx([expected[0][name] for name in ("mean", "q10", "q50", "q90")], abs=1e-5)
    assert lines[-1] == ""


def test_options_of_another_model_are_refused(said: Said, tmp_path: Path) -> None:
    _, folder, _ = exported(tmp_path, TEXT, model="lstm", lanes=4, k1=8)
    assert said(main, folder, "--beam", 3, code=1) == []
    assert said(main, folder, "--temperature", -1, code=1) == []
