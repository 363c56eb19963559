"""All experiments, in the order a course would have them."""

from __future__ import annotations

from elman.errors import UserError, nearest
from elman.lab import (
    attention,
    elman_1990,
    exploding_gradients,
    gates,
    gradients,
    jsb,
    memory_tasks,
    mnist1d,
    parallel,
    truncation,
)
from elman.lab.experiment import Experiment

ALL = (
    gradients.POWERS, gradients.VANISHING, exploding_gradients.EXPERIMENT, truncation.EXPERIMENT, elman_1990.EXPERIMENT,
    memory_tasks.ADDING, memory_tasks.COPYING, memory_tasks.TEMPORAL_ORDER, gates.EXPERIMENT,
    attention.BOTTLENECK, parallel.EXPERIMENT, attention.BOOK_OR_INDEX, jsb.EXPERIMENT, mnist1d.EXPERIMENT,
)  # fmt: skip
EXPERIMENTS = {experiment.name: experiment for experiment in ALL}


def choose(name: str, *, with_data: bool) -> list[Experiment]:
    """The experiment of a name, or all that need no data for `all`.

    Raises:
        UserError: there is no such experiment, or its data are not given.
    """
    if name == "all":
        return [experiment for experiment in ALL if not experiment.needs_data]
    if name not in EXPERIMENTS:
        raise UserError(f"no experiment called {name!r}", remedy=nearest(name, EXPERIMENTS), exit_code=2)
    chosen = EXPERIMENTS[name]
    if chosen.needs_data and not with_data:
        raise UserError(f"{name} needs data", expected=f"--data {chosen.needs_data}", got="none", exit_code=2)
    return [chosen]
