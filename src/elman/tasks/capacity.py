"""Check that a model can be trained in the device's memory (RAM), before any of this is allocated."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from elman import environment
from elman.errors import UserError
from elman.train.settings import Optimization

# Numbers of four bytes for each parameter, at least: the parameter, its gradient, and the optimiser's averages of it.
NUMBERS = {"adamw": 4, "muon": 3, "sgd": 2, "ntasgd": 2}


def count_parameters(build: Callable[[], nn.Module]) -> int:
    """Of the model that `build` makes; nothing is allocated."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


def check_memory(build: Callable[[], nn.Module], train: Optimization) -> None:
    """Raise `UserError` where the numbers that a training keeps for each parameter exceed the device's memory (RAM)."""
    available = environment.ram(train.device)
    if available is None:
        return
    parameters = count_parameters(build)
    needed = 4 * NUMBERS[train.optimizer] * parameters
    if needed > available:
        words = environment.bytes_in_words
        raise UserError(
            f"the model is too large for the {'machine' if train.device == 'cpu' else 'GPU'}'s memory (RAM)",
            expected=f"at most {words(available)}",
            got=f"{words(needed)} to train {parameters:,} parameters",
            remedy="make it smaller: its hidden_size, its layers, its vocabulary",
        )
