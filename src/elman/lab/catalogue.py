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
"""Every experiment by its name, in the order of a course.

>>> from elman.lab import EXPERIMENTS
>>> EXPERIMENTS["vanishing"].claim
"Where the recurrent matrix's largest singular value is below 1, the gradient vanishes at least geometrically."
"""


def choose(name: str, *, with_data: bool) -> list[Experiment]:
    """The experiment of a name, or all that need no data for `all`.

    Raises:
        UserError: there is no such experiment, or its data are not given.

    >>> len(choose("all", with_data=False)), choose("gates", with_data=False)[0].name
    (12, 'gates')
    >>> choose("jsb", with_data=False)
    Traceback (most recent call last):
    elman.errors.UserError: jsb needs data: expected data=FILE, such as jsb-chorales-quarter.json, got none
    """
    if name == "all":
        return [experiment for experiment in ALL if not experiment.needs_data]
    if name not in EXPERIMENTS:
        raise UserError(f"no experiment called {name!r}", remedy=nearest(name, EXPERIMENTS), exit_code=2)
    chosen = EXPERIMENTS[name]
    if chosen.needs_data and not with_data:
        raise UserError(
            f"{name} needs data", expected=f"--data FILE, such as {chosen.needs_data}", got="none", exit_code=2
        )
    return [chosen]
