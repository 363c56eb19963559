"""All experiments, in the order a course would have them."""

from __future__ import annotations

from elman.errors import UserError, nearest
from elman.lab import (
    book_or_index,
    bottleneck,
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
    bottleneck.EXPERIMENT, parallel.EXPERIMENT, book_or_index.EXPERIMENT, jsb.EXPERIMENT, mnist1d.EXPERIMENT,
)  # fmt: skip
EXPERIMENTS = {experiment.name: experiment for experiment in ALL}


def choose(name: str, *, with_data: bool) -> list[Experiment]:
    """The experiment of a name; `all` are those that need no data.

    Raises:
        UserError: there is none.
    """
    if name == "all":
        return [one for one in EXPERIMENTS.values() if not one.needs_data]
    if name not in EXPERIMENTS:
        raise UserError(f"no experiment called {name!r}", remedy=nearest(name, EXPERIMENTS), exit_code=2)
    one = EXPERIMENTS[name]
    if one.needs_data and not with_data:
        raise UserError(f"{name} needs data", expected=f"--data {one.needs_data}", got="none", exit_code=2)
    return [one]
