"""Figures of the experiments: curves and bars by name, and training curves thinned to what can be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.arrays import Floats
from elman.report import Figure, Line, bar_chart, line_chart

COLOURS = {"elman": 2, "gru": 1, "lstm": 3, "transformer": 4}

Places = Sequence[int] | npt.NDArray[np.int64]
Values = Mapping[str, Sequence[float] | Floats]


def curves(places: Places, found: Values, reading: str, **chart: Any) -> Figure:
    """A line for each name, through its values at the `places`; `chart` has other arguments of `line_chart`.

    A name that begins with a key of `COLOURS` has that colour. Without a `y`, values are accuracies.
    """
    accuracy: dict[str, Any] = {} if "y" in chart else {"y": "accuracy", "y_span": (0.0, 1.0), "wide": True}
    lines = [
        Line(name, np.array(places), np.array(values), colour=COLOURS.get(name.partition(":")[0]))
        for name, values in found.items()
    ]
    return line_chart(lines, reading=reading, **accuracy | chart)


def bars(found: Mapping[str, float], reading: str, **chart: Any) -> Figure:
    """A bar for each name; `chart` has other arguments of `bar_chart`."""
    return bar_chart(list(found), np.array(list(found.values())), reading=reading, **chart)


def in_words(places: Places, found: Values, each: Callable[[float, int], str]) -> list[str]:
    """A sentence for each name; `each` puts a value and its place into words."""
    return [
        f"{name}: " + ", ".join(each(value, place) for value, place in zip(values, places, strict=True))
        for name, values in found.items()
    ]


def stretches(steps: int, count: int) -> npt.NDArray[np.int64]:
    """The first steps of about `count` stretches of equal length."""
    return np.arange(0, steps, max(1, steps // count))


def means(values: Sequence[float] | Floats, starts: npt.NDArray[np.int64]) -> Floats:
    """The mean of each stretch."""
    return np.add.reduceat(values, starts) / np.diff([*starts, len(values)])
