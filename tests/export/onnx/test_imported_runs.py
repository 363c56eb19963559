"""Imported runs of every task as ONNX, by the command: compared with the run before they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from elman.cli import run as command
from foreign_models import FOREIGN

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("options", [[], ["--lengths"], ["--int8"]], ids=["plain", "lengths", "int8"])
@pytest.mark.parametrize("name", FOREIGN)
def test_an_imported_run_becomes_a_graph(
    name: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = FOREIGN[name]
    torch.manual_seed(3)
    torch.save(foreign.make().eval().state_dict(), tmp_path / "model.pt")
    given = [str(tmp_path / "model.pt"), "--task", foreign.task, "-o", str(tmp_path / "run")]
    for what, option, lines in (("vocabulary", "--tokenizer", foreign.tokens), ("labels", "--labels", foreign.labels)):
        if lines is not None:
            (tmp_path / what).with_suffix(".txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            given += [option, str(tmp_path / f"{what}.txt")]
    assert command(["import", *given, *(["--window", "12"] if foreign.task == "forecasting" else [])]) == 0
    capsys.readouterr()
    assert command(["export", str(tmp_path / "run"), "-o", str(tmp_path / "out"), "--json", *options]) == 0
    report = json.loads(capsys.readouterr().out)
    [check] = report["checks"]
    assert check["runtime"] == "onnxruntime"
    assert check["numbers"] > 50
    assert check["difference"] < 1e-5
    assert not any("attention" in note for note in report["notes"])
    has_lstm = foreign.make().state_dict()["rnn.weight_hh_l0"].shape[0] == 40
    assert any("DynamicQuantizeLSTM" in note for note in report["notes"]) == ("--int8" in options and has_lstm)
