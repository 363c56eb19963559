from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from elman.models import LanguageModel, build

VOCABULARY = 11
CONFIGS = {
    "elman": {"model": "elman"},
    "gru": {"model": "gru", "residual": True},
    "lstm": {"model": "lstm", "embedding_size": 5, "tied": True},
    "mingru": {"model": "mingru"},
    "slstm": {"model": "slstm"},
    "recomputed": {"model": "lstm", "recompute": True},
    "rotary": {"model": "transformer", "num_heads": 2},
    "sinusoidal": {"model": "transformer", "num_heads": 2, "positions": "sinusoidal", "tied": True},
    "window": {"model": "transformer", "num_heads": 2, "window": 5},
}


@pytest.fixture
def make() -> Callable[..., LanguageModel]:
    """A model whose every parameter matters: some begin at zero, which would hide what they multiply."""

    def build_model(name: str, dtype: torch.dtype = torch.float64, **options: object) -> LanguageModel:
        torch.manual_seed(0)
        model = build({"vocab_size": VOCABULARY, "hidden_size": 8, "num_layers": 2} | CONFIGS[name] | options).to(dtype)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        return model

    return build_model
