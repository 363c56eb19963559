"""Which model a command trains: the defaults of the library are neutral, those of a training are its recipe's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from elman import environment
from elman.cli import run as command

DROPOUTS = ("dropout_embedding", "dropout_input", "dropout_hidden", "dropout_output", "weight_dropout")
RECURRENT: dict[str, Any] = {
    "embedding_size": 64,
    "hidden_size": 64,
    "num_layers": 1,
    "tied": False,
    "residual": False,
    **dict.fromkeys((*DROPOUTS, "recurrent_dropout", "zoneout"), 0.0),
    "layer_norm": False,
    "recompute": False,
}
LSTM = RECURRENT | {"zoneout_cell": 0.0, "peepholes": False}
TRANSFORMER: dict[str, Any] = {
    "hidden_size": 64,
    "num_layers": 4,
    "num_heads": 1,
    "feedforward_size": None,
    "positions": "rotary",
    "window": 64,
    "tied": True,
    "qk_norm": True,
    "dropout": 0.0,
    "recompute": False,
}
TRANSLATOR: dict[str, Any] = {
    "embedding_size": 64,
    "hidden_size": 64,
    "num_layers": 1,
    "bidirectional": True,
    "attention": "general",
    "input_feeding": False,
    "bridge": "dense",
    "tied": True,
    "dropout": 0.0,
    "recompute": False,
}
TRANSFORMER_TRANSLATOR: dict[str, Any] = {
    "hidden_size": 64,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "num_heads": 4,
    "feedforward_size": None,
    "positions": "sinusoidal",
    "max_positions": 513,
    "norm": "pre",
    "qk_norm": True,
    "tied": True,
    "dropout": 0.0,
    "recompute": False,
}


@pytest.mark.parametrize(
    ("data", "kind", "asked", "resolved"),
    [
        ("text", "lstm", {}, LSTM),
        ("text", "lstm", {"embedding_size": 32, "peepholes": True}, LSTM | {"embedding_size": 32, "peepholes": True}),
        ("text", "gru", {}, RECURRENT),
        ("text", "elman", {"num_layers": 2}, RECURRENT | {"num_layers": 2}),
        ("text", "transformer", {}, TRANSFORMER),
        (
            "text",
            "transformer",
            {"hidden_size": 96, "positions": "sinusoidal"},
            TRANSFORMER | {"hidden_size": 96, "num_heads": 2, "positions": "sinusoidal"},
        ),
        ("pairs.tsv", "lstm", {}, TRANSLATOR),
        ("pairs.tsv", "gru", {"attention": "none"}, TRANSLATOR | {"attention": "none"}),
        ("pairs.tsv", "transformer", {}, TRANSFORMER_TRANSLATOR),
        (
            "pairs.tsv",
            "transformer",
            {"positions": "learned", "hidden_size": 36},
            TRANSFORMER_TRANSLATOR | {"positions": "learned", "hidden_size": 36},
        ),
    ],
    ids=str,
)
def test_the_model_that_a_command_trains(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: str,
    kind: str,
    asked: dict[str, Any],
    resolved: dict[str, Any],
) -> None:
    monkeypatch.setattr(environment, "best_device", lambda: "cpu")
    lines = ["the cat sat on the mat", "a dog ran far away", "birds sing at dawn", "rain fell all night"]
    (tmp_path / "text").write_text("".join(f"{n} {lines[n % 4]} {lines[n * 7 % 4]}.\n" for n in range(400)))
    (tmp_path / "pairs.tsv").write_text("".join(f"{lines[n % 4]} {n}\t{lines[n % 4][::-1]} {n}\n" for n in range(200)))
    options = [option for name, value in asked.items() for option in ("--set", f"{name}={value}")]
    options += ["--set", "validation_sentences=0"] if data == "pairs.tsv" else []
    run = tmp_path / "run"
    assert command(["train", str(tmp_path / data), "-o", str(run), "--model", kind, "--steps", "1", *options]) == 0
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert settings["model"] == resolved
