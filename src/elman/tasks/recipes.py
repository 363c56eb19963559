"""Recipes: settings that suit a kind of model where a person left them open. Each task has a table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elman.tasks.configuration import OWN

LARGE_VOCABULARY = 1024  # tokens: from here on they are words or byte pairs, below they are characters


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
