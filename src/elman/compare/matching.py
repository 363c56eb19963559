"""Models of the same number of parameters, and budgets of the same number of operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from elman.errors import UserError
from elman.models.configuration import widened
from elman.settings import UNITS
from elman.tasks.configuration import Settings
from elman.tasks.sizing import count_parameters
from elman.tasks.task import Task
from elman.train.schedule import Budget
from elman.wording import percent

TOLERANCE = 0.02  # of the number of parameters


def parameters(task: Task, settings: Settings, corpus: Any) -> int:
    """The parameters of the whole model, with its embedding and its output layer; nothing is allocated."""
    return count_parameters(lambda: task.build(task.model_config(settings, corpus)))


def match_parameters(task: Task, sized: Callable[[int], Settings], corpus: Any, target: int) -> Settings:
    """The settings of the size whose model has about `target` parameters; `sized` gives those of a `Task.size`.

    The number of parameters grows with the size, so that bisection finds the nearest size. Of the sizes within half
    the tolerance, the size that most powers of two divide is taken, for it computes fastest.

    Raises:
        UserError: no size comes within `TOLERANCE`.
    """

    def count(size: int) -> int:
        return parameters(task, sized(size), corpus)

    step = _step(sized)
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
    settings = sized(size)
    settings = settings.model_copy(update={"model": widened(settings.model, target - count(size))})
    settings = _embedded(task, settings, corpus, target)
    found = parameters(task, settings, corpus)
    if abs(found - target) > TOLERANCE * target:
        what = f"--parameters {target}: no {settings.kind} has so many within {percent(TOLERANCE)}"
        possible = f"such as {found:,} ({task.size} {size})"
        raise UserError(what, expected=possible, remedy="ask for another number", exit_code=2)
    return settings


def _embedded(task: Task, settings: Settings, corpus: Any, target: int) -> Settings:
    """Settings with an embedding of its own width, where nobody gave one, if the number of parameters is not near."""
    missing = target - parameters(task, settings, corpus)
    if abs(missing) <= TOLERANCE / 2 * target or getattr(settings.model, "embedding_size", 0) is not None:
        return settings

    def embedding(width: int) -> Settings:
        return settings.model_copy(update={"model": settings.model.model_copy(update={"embedding_size": width})})

    width = getattr(settings.model, task.size)
    narrow, wide = (parameters(task, embedding(each), corpus) for each in (width, width + 1))
    return embedding(max(1, width + round(missing / (wide - narrow))))


def _step(sized: Callable[[int], Settings]) -> int:
    """2 where settings refuse an odd size, as those of heads and of two directions do, else 1."""
    try:
        sized(3)
    except UserError:
        return 2
    return 1


def batch_targets(task: Task, settings: Settings) -> int:
    """About how many targets an optimiser step has."""
    return math.prod(getattr(settings.train, name) for name in (*task.batch, "accumulate"))


def match_operations(task: Task, first: Settings, other: Settings, corpus: Any) -> Budget:
    """The steps in which `other` does as many floating-point operations as `first` does in its budget."""
    each, others = (batch_targets(task, one) * task.operations(one, corpus) for one in (first, other))
    steps = first.budget.amount
    if first.budget.unit == "epochs":
        steps *= task.training_targets(corpus) / batch_targets(task, first)
    return Budget(max(1, round(steps * each / others)), "steps")
