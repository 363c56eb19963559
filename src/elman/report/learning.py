"""The learning curve of a training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from elman.report.figure import Figure
from elman.report.lines import Line, line_chart

MOST = 120  # points of the training's line: each is the mean of its stretch of steps
SKIPPED = 0.2  # of the training, before its losses count for the axis

Values = npt.NDArray[np.float64]


def learning_curve(steps: Values, losses: Values, validated: Values, validation_losses: Values, *, y: str) -> Figure:
    """The losses (N,) of the steps (N,), and those of M validations (M,) at the steps `validated` (M,).

    A loss that is not a number leaves a gap.
    """
    x, means = thinned(steps, losses)
    lines = [Line("training", x, means, colour=1)] if len(x) else []
    if len(validated):
        lines.append(Line("validation", validated, validation_losses, colour=2, dots=True))
    return line_chart(
        lines,
        title="Learning curve",
        x="step",
        y=y,
        skip_first=SKIPPED,
        wide=True,
        reading="The loss of the training, with dropout where the model has any, and of the validations, on an axis "
        "for all but the first steps.",
    )


def thinned(x: Values, y: Values, most: int = MOST) -> tuple[Values, Values]:
    """At most so many points: the last place and the mean of the values of each stretch; NaN where none is a number.

    >>> [part.tolist() for part in thinned(np.arange(4.0), np.array([1.0, 3.0, 5.0, np.nan]), 2)]
    [[1.0, 3.0], [2.0, 5.0]]
    """
    edges = np.unique(np.linspace(0, len(x), min(most, len(x)) + 1).astype(int))
    known = np.isfinite(y)
    if not len(x):
        return x, y
    sums, counts = (np.add.reduceat(each, edges[:-1]) for each in (np.where(known, y, 0.0), known.astype(np.float64)))
    means = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return x[edges[1:] - 1], means
