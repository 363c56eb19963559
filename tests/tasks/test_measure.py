"""What a comparison measures of a language model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from elman.models import build
from elman.tasks.language_modelling.measure import memory

EOD, EVERY = 5, 4


@pytest.mark.parametrize("kind", ["elman", "gru", "lstm", "transformer"])
def test_a_horizon_ends_with_the_document(kind: str) -> None:
    torch.manual_seed(0)
    model = build({"model": kind, "vocab_size": 6, "hidden_size": 16, "num_layers": 1}).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    tokens = np.random.default_rng(0).integers(0, EOD, 600)
    tokens[::EVERY] = EOD

    def text(eod: int | None) -> Any:
        return SimpleNamespace(valid=tokens, tokenizer=SimpleNamespace(eod=eod))

    across, within = memory(model, text(None)), memory(model, text(EOD))
    assert (across["gradient"][EVERY : EVERY + 4] > 0).all()
    assert within["horizon"] <= EVERY
    assert (within["gradient"][EVERY:] == 0).all()
