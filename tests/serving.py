"""Small language models to serve, without a training: what they say is nonsense, and always the same nonsense."""

from __future__ import annotations

from pathlib import Path

import torch

from elman.data.tokenizers import train_tokenizer
from elman.models import build
from elman.runs import Run
from elman.tasks import TASKS

TEXT = "the cat sat on a mat, and the dog ran to the café.\n"
SIZES = {
    "lstm": {"model": "lstm", "hidden_size": 9, "embedding_size": 5},
    "gru": {"model": "gru", "hidden_size": 6, "num_layers": 2},
    "transformer": {"model": "transformer", "hidden_size": 8, "num_layers": 2, "num_heads": 2, "window": 16},
}


def language_model(kind: str = "lstm", *, tokenizer: str = "char", documents: bool = False, name: str = "demo") -> Run:
    """A run of a model with random weights, far enough from zero that its texts differ."""
    made = train_tokenizer(tokenizer, [TEXT], eod=documents)
    config = {"vocab_size": made.vocab_size, **SIZES[kind]}
    torch.manual_seed(7)
    model = build(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.6)
    return Run(Path("/nowhere") / name, TASKS["language-modelling"], model, {"tokenizer": made}, {"model": config})
