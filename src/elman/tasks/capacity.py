"""Whether the machine has the memory to train a model, checked before any of the memory is taken."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from elman import environment
from elman.errors import UserError
from elman.train.settings import Optimization

# Numbers of four bytes for each parameter, at least: its value, its gradient, and the optimiser's state.
NUMBERS = {"adamw": 4, "muon": 3, "sgd": 2, "ntasgd": 2}


def count_parameters(build: Callable[[], nn.Module]) -> int:
    """The parameters of the model that `build` makes; nothing is allocated."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


def check_memory(build: Callable[[], nn.Module], train: Optimization) -> None:
    """See that the memory holds the model that `build` makes and its training; nothing is allocated.

    Raises:
        UserError: the training needs more memory than there is.
    """
    available, parameters = environment.memory(train.device), count_parameters(build)
    needed = 4 * NUMBERS[train.optimizer] * parameters
    if available is not None and needed > available:
        raise UserError(
            "the model is too large for the memory",
            expected=f"at most {environment.bytes_in_words(available)}",
            got=f"{environment.bytes_in_words(needed)} to train {parameters:,} parameters",
            remedy="make it smaller: its hidden_size, its layers, its vocabulary",
        )
