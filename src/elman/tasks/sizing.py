"""Sizes of models, for every task: recipes where a person left settings open, and whether the memory suffices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from elman import environment
from elman.errors import UserError
from elman.tasks.configuration import OWN
from elman.train.settings import Optimization

LARGE_VOCABULARY = 1024  # tokens: from here on they are words or byte pairs, below they are characters
# Numbers of four bytes for each parameter, at least: its value, its gradient, and the optimiser's state.
NUMBERS = {"adamw": 4, "muon": 3, "sgd": 2, "ntasgd": 2}


@dataclass(frozen=True)
class Recipe:
    """Settings that were found to train a kind of model well in a few minutes."""

    learning_rate: float  # of a model of width `size`
    size: int = 256  # hidden units
    tokens_per_parameter: float = 0.0  # where the size follows from the budget
    model: Mapping[str, Any] = field(default_factory=dict)  # further settings of the model
    train: Mapping[str, Any] = field(default_factory=dict)  # further settings of the training


OF_ONES_OWN = Recipe(2e-3)  # for a person's own model, which has sizes of its own


def find_recipe(recipes: Mapping[str, Recipe], kind: str) -> Recipe:
    """The recipe of a kind of model; a cell without a recipe takes the GRU's."""
    return OF_ONES_OWN if kind == OWN else recipes.get(kind, recipes["gru"])


def count_parameters(build: Callable[[], nn.Module]) -> int:
    """The parameters of the model that `build` makes; nothing is allocated."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


def check_ram(build: Callable[[], nn.Module], train: Optimization) -> None:
    """See that the memory holds the model that `build` makes and its training; nothing is allocated.

    Raises:
        UserError: the training needs more RAM than there is.
    """
    available, parameters = environment.ram(train.device), count_parameters(build)
    needed = 4 * NUMBERS[train.optimizer] * parameters
    if available is not None and needed > available:
        raise UserError(
            f"the model is too large for the {'machine' if train.device == 'cpu' else 'GPU'}'s memory (RAM)",
            expected=f"at most {environment.bytes_in_words(available)}",
            got=f"{environment.bytes_in_words(needed)} to train {parameters:,} parameters",
            remedy="make it smaller: its hidden_size, its layers, its vocabulary",
        )
