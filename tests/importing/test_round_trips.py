"""A run that leaves as a file of ONNX or of torch and comes in again is the same model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import elman
from elman.cli import run as command


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_a_language_model_comes_back(form: str, trained: Path, plain_text: Path, tmp_path: Path) -> None:
    if form == "onnx":
        pytest.importorskip("onnx")
    file = tmp_path / {"onnx": "model.onnx", "torch": "model.safetensors"}[form]
    assert command(["export", str(trained), "--to", form, "-o", str(file)]) == 0
    tokenizer = trained / "model" / "tokenizer.json"
    assert command(["import", str(file), "-o", str(tmp_path / "back"), "--tokenizer", str(tokenizer)]) == 0
    first, back = elman.load(trained), elman.load(tmp_path / "back")
    tokens = first.tokenizer.encode("the cat sat on a mat")[None]
    with torch.no_grad():
        expected, _ = first.model(tokens)
        piece, state = back.model(tokens[:, :7])
        rest, _ = back.model(tokens[:, 7:], state)
    torch.testing.assert_close(torch.cat((piece, rest), 1), expected, rtol=0, atol=1e-6)
    assert back.evaluate(plain_text)["loss"] == pytest.approx(first.evaluate(plain_text)["loss"], abs=1e-6)
    wanted = {"tokens": 20, "temperature": 0}
    assert back.generate("the", **wanted)[0] == first.generate("the", **wanted)[0]


def test_an_imported_model_is_not_made_from_nothing(plain_text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["train", str(plain_text), "--model", "imported", "--steps", "1"]) == 2
    assert "comes from a file; `elman import FILE -o RUN`" in capsys.readouterr().err
