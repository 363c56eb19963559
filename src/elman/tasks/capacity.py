"""Whether a model can be trained in the memory that there is, seen before any of it is taken."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from elman import environment
from elman.errors import UserError
from elman.train.settings import Optimization

# Numbers of four bytes for each parameter, at least: itself, its gradient, and what the optimizer keeps of it.
NUMBERS = {"adamw": 4, "muon": 3, "sgd": 2, "ntasgd": 2}


def count_parameters(build: Callable[[], nn.Module]) -> int:
    """Of the model that `build` makes; nothing is allocated."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


def check_memory(build: Callable[[], nn.Module], train: Optimization) -> None:
    """See that a model and what its training keeps of each parameter fit into the memory; `build` allocates nothing.

    Errors: `UserError` where they need more than there is.
    """
    available = environment.memory(train.device)
    if available is None:
        return
    parameters = count_parameters(build)
    needed = 4 * NUMBERS[train.optimizer] * parameters
    if needed > available:
        words = environment.bytes_in_words
        raise UserError(
            "the model is too large for the memory",
            expected=f"at most {words(available)}",
            got=f"{words(needed)} to train {parameters:,} parameters",
            remedy="make it smaller: its hidden_size, its layers, its vocabulary",
        )
