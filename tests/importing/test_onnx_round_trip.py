"""What `elman export --to onnx` writes comes in again as the same model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import elman
from elman.cli import run as command


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
def test_a_language_model_comes_in_again(cell: str, layers: int, plain_text: Path, tmp_path: Path) -> None:
    sizes = {"hidden_size": 8, "embedding_size": 6, "num_layers": layers, "lanes": 4, "k1": 8}
    settings = [part for name, value in sizes.items() for part in ("--set", f"{name}={value}")]
    out, file, again = (str(tmp_path / name) for name in ("run", "model.onnx", "again"))
    assert command(["train", str(plain_text), "-o", out, "--model", cell, "--steps", "2", *settings]) == 0
    assert command(["export", out, "--to", "onnx", "-o", file]) == 0
    assert command(["import", file, "-o", again]) == 0
    first, second = elman.load(out).model, elman.load(again)
    assert second.task.name == "language-modelling"
    assert second.config["model"]["network"]["output_kind"] == "logits"
    tokens, state, other = torch.randint(0, first.vocab_size, (3, 11)), None, None
    with torch.no_grad():
        for piece in tokens.split((4, 1, 6), 1):
            expected, state = first(piece, state)
            found, other = second.model(piece, other)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
