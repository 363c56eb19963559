"""All experiments, in the order a course would have them."""

from __future__ import annotations

from elman.errors import UserError, nearest
from elman.lab import (
    adding,
    book_or_index,
    bottleneck,
    clipping,
    copying,
    elman_1990,
    gates,
    jsb,
    mnist1d,
    parallel,
    powers,
    temporal_order,
    truncation,
    vanishing,
)
from elman.lab.experiment import Experiment

MODULES = (
    powers, vanishing, clipping, truncation, elman_1990, adding, copying, temporal_order,
    gates, bottleneck, parallel, book_or_index, jsb, mnist1d,
)  # fmt: skip
EXPERIMENTS: dict[str, Experiment] = {module.EXPERIMENT.name: module.EXPERIMENT for module in MODULES}


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
