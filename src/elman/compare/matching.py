"""Models of the same number of parameters, and budgets of the same number of operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch

from elman.errors import UserError
from elman.models import build
from elman.models.configuration import TransformerSettings, resolve
from elman.settings import UNITS
from elman.tasks.configuration import Settings
from elman.tasks.language_modelling import sizing
from elman.train.schedule import Budget

TOLERANCE = 0.02  # of the number of parameters


def count_parameters(settings: Settings, vocab_size: int) -> int:
    """Of the whole model, embedding and output too; nothing is allocated."""
    with torch.device("meta"):
        model = build(sizing.model_config(settings, vocab_size))
    return sum(parameter.numel() for parameter in model.parameters())


def match_parameters(sized: Callable[[int], Settings], vocab_size: int, target: int) -> Settings:
    """The settings of the hidden size whose model has about `target` parameters.

    Args:
        sized: complete settings for a hidden size.
        vocab_size: of the tokenizer.
        target: how many parameters.

    The count grows with the size, so the size is found by bisection; of those within half the tolerance, the
    one that most powers of two divide, which computes fastest.

    Raises:
        UserError: no size comes within `TOLERANCE`.
    """

    def count(size: int) -> int:
        return count_parameters(sized(size), vocab_size)

    kind = sized(2).kind
    step = 2 if kind == "transformer" else 1  # heads have an even size
    low, high = 1, 2  # in steps: count(low) <= target < count(high) in the end
    while count(high * step) <= target and high * step < UNITS:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle * step) <= target else (low, middle)
    nearest = min((low, high), key=lambda n: abs(count(n * step) - target)) * step
    near = range(max(step, nearest - 4 * step), min(nearest + 4 * step, UNITS) + 1, step)
    good = [n for n in near if abs(count(n) - target) <= TOLERANCE / 2 * target]
    size = max(good, key=lambda n: (n & -n, -abs(n - nearest)), default=nearest)
    settings = _fill(sized(size), target - count(size))
    found = count_parameters(settings, vocab_size)
    if abs(found - target) > TOLERANCE * target:
        raise UserError(
            f"--parameters {target}: no {kind} has so many within {TOLERANCE:.0%}",
            expected=f"such as {found:,} (hidden_size {size})",
            remedy="ask for another number",
            exit_code=2,
        )
    return settings


def _fill(settings: Settings, missing: int) -> Settings:
    """A Transformer's sizes go in larger steps than 2 %: its inner size makes up for what is missing."""
    model = settings.model
    if not isinstance(model, TransformerSettings):
        return settings
    inner = cast(int, resolve(model).feedforward_size)
    more = round(missing / (model.num_layers * (2 * model.hidden_size + 1)))
    return settings.model_copy(update={"model": model.model_copy(update={"feedforward_size": max(1, inner + more)})})


def geometric_mean(counts: list[int]) -> int:
    """The middle of sizes that differ by factors.

    >>> geometric_mean([100, 10_000])
    1000
    """
    return round(math.exp(sum(map(math.log, counts)) / len(counts)))


def batch_tokens(settings: Settings) -> int:
    """How many tokens an optimiser step reads."""
    train: Any = settings.train
    return train.lanes * train.k1 * train.accumulate


def match_operations(first: Settings, other: Settings, tokens: int, vocab_size: int) -> Budget:
    """The steps in which `other` does as many floating-point operations as `first` does in its budget.

    tokens: how many there are in an epoch.
    """
    steps = first.budget.amount
    if first.budget.unit == "epochs":
        steps *= tokens / batch_tokens(first)
    operations = steps * batch_tokens(first) * sizing.operations(first, vocab_size)
    return Budget(max(1, round(operations / batch_tokens(other) / sizing.operations(other, vocab_size))), "steps")
