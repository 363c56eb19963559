"""Fan charts: a series, and the quantiles of what is forecast after it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from elman.report.figure import Figure
from elman.report.lines import Line, Values, line_chart
from elman.report.marks import Mark
from elman.wording import percent


def fan_chart(
    before: Values,
    quantiles: Mapping[float, Values],
    *,
    title: str,
    reading: str,
    x: str = "step",
    y: str = "value",
    truth: Values | None = None,
    mean: Values | None = None,
    wide: bool = False,
    link: str = "",
) -> Figure:
    """The steps that were read (T,), at 1 - T … 0, and the forecast of the next (H,), at 1 … H.

    Args:
        quantiles: by their levels; those of p and 1 - p are the ends of one band, the median is a line.
        truth: what came (H,).
        mean: a line in place of the median.

    >>> quantiles = {0.1: np.array([8.0, 7.0]), 0.5: np.array([10.0, 10.0]), 0.9: np.array([12.0, 13.0])}
    >>> figure = fan_chart(np.array([9.0, 10.0, 11.0]), quantiles, title="Sales", reading="A band holds 80 %.")
    >>> [name for _, name in figure.legend]
    ['read', 'forecast, its median']
    """
    middle = mean if mean is not None else quantiles.get(0.5)
    steps = np.arange(1, 1 + len(next(iter(quantiles.values()), () if middle is None else middle)))
    lower = sorted(level for level in quantiles if level < 0.5 and round(1 - level, 9) in _rounded(quantiles))
    upper = _rounded(quantiles)
    bands = {percent(1 - 2 * level): (quantiles[level], upper[round(1 - level, 9)]) for level in lower}
    lines = [Line("read", np.arange(1 - len(before), 1), before, colour=1)]
    if truth is not None:
        joined = np.concatenate([before[-1:], truth])  # so that the line goes on
        lines.append(Line("what came", np.arange(1 - len(before[-1:]), 1 + len(truth)), joined, colour=1, dashed=True))
    if len(steps):
        name = "forecast, its mean" if mean is not None else "forecast, its median"
        values = np.full(len(steps), np.nan) if middle is None else middle
        lines.append(Line(name, steps, values, colour=2, bands=bands))
    marks = [Mark(0.5, "forecast from here")]
    return line_chart(lines, title=title, reading=reading, x=x, y=y, marks=marks, wide=wide, link=link)


def _rounded(quantiles: Mapping[float, Values]) -> dict[float, Values]:
    return {round(level, 9): values for level, values in quantiles.items()}
