"""What `elman inspect` cannot look at is told in a line."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import yaml

import elman
from elman.cli import run as command


def said(arguments: list[str | Path], capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert command([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


def spoil(run: Path, what: str) -> None:
    if what == "text gone":
        shutil.rmtree(run / "cache")
        settings = yaml.safe_load((run / "config.yaml").read_text())
        settings["data"]["source"] = str(run / "gone.txt")
        (run / "config.yaml").write_text(yaml.safe_dump(settings))
    if what == "no settings":
        (run / "config.yaml").unlink()


@pytest.mark.parametrize(
    ("kind", "arguments", "what", "code", "message"),
    [
        ("elman", ["--parts", "gates"], "", 1, ": the model has no gates; this run has gradients, memory"),
        ("transformer", ["--parts", "gates"], "", 1, "the model has no gates"),
        ("lstm", ["--parts", "attention"], "", 1, "the model has no attention"),
        ("lstm", ["--parts", "gate"], "", 2, "did you mean 'gates'?"),
        ("lstm", ["--parts", ""], "", 2, "no part called ''"),
        (
            "lstm",
            ["other"],
            "unknown",
            1,
            "does not fit the run: expected text in the tokens that the run was trained on",
        ),
        ("lstm", ["other"], "short", 1, "too short to look at: expected at least 9 tokens, got 3"),
        ("lstm", ["missing.txt"], "", 2, "no such file or named source"),
        ("lstm", [], "text gone", 1, "the text of the run is gone"),
        ("lstm", [], "no settings", 1, "does not say which text it was trained on; give a text"),
        ("lstm", ["-o", "."], "", 2, "expected a file for the report, got a folder"),
    ],
)
def test_what_cannot_be_looked_at(
    runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    arguments: list[str],
    what: str,
    code: int,
    message: str,
) -> None:
    run = shutil.copytree(runs[kind], tmp_path / "run")
    spoil(run, what)
    texts = {"unknown": "☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃", "short": "cat"}
    (tmp_path / "other.txt").write_text(texts.get(what, ""))
    arguments = [str(tmp_path / "other.txt") if argument == "other" else argument for argument in arguments]
    out, err = said(["inspect", run, *arguments], capsys, code)
    assert out == ""
    assert message in err
    assert "own fault" not in err
    assert [line for line in err.splitlines() if line.startswith("elman: ")] == [err.splitlines()[-1]]
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kind", ["lstm", "gru", "elman", "transformer"])
def test_weights_that_are_no_numbers_are_refused(
    runs: dict[str, Path], kind: str, value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(runs[kind], tmp_path / "run")
    stored = run / "model" / "model.safetensors"
    with safetensors.safe_open(stored, "pt") as file:
        weights, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    name = next(key for key, _ in elman.load(run).model.named_parameters())
    weights[name][0, 0] = value
    safetensors.torch.save_file(weights, stored, metadata)
    out, err = said(["inspect", run], capsys, 1)
    assert out == ""
    assert err.splitlines()[-1].startswith(f"elman: {run}: {name}: expected finite weights, got infinities or NaN; ")
    assert not (run / "report.html").exists()


def test_no_such_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = said(["inspect", tmp_path / "none"], capsys, 1)
    assert err == f"elman: {tmp_path / 'none'}: no such run; train one with `elman train DATA -o RUN`\n"


def test_a_place_that_cannot_be_written(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "report.html"
    _, err = said(["inspect", runs["elman"], "--parts", "clipping", "-o", place], capsys, 1)
    assert err.startswith(f"elman: cannot write {place}")
