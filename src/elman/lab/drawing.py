"""What the experiments draw alike: curves of several models, and training curves thinned to what can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.report import Figure, Line, bar_chart, line_chart

COLOURS = {"elman": 2, "gru": 1, "lstm": 3, "transformer": 4}

Floats = npt.NDArray[np.float64]
Places = Sequence[int] | npt.NDArray[np.int64]
Values = Mapping[str, Sequence[float] | Floats]


def curves(places: Places, found: Values, **chart: Any) -> Figure:
    """A line for each name of `found`, through its values at the `places`; `chart` is what `line_chart` takes.

    A name begins with a key of `COLOURS`, or the line has a colour of its own. Without a `y`, values are accuracies.
    """
    accuracy: dict[str, Any] = {} if "y" in chart else {"y": "accuracy", "y_span": (0.0, 1.0), "wide": True}
    lines = [
        Line(name, np.array(places), np.array(values), colour=COLOURS.get(name.partition(":")[0]))
        for name, values in found.items()
    ]
    return line_chart(lines, **accuracy | chart)


def bars(found: Mapping[str, float], **chart: Any) -> Figure:
    """A bar for each name of `found`; `chart` is what `bar_chart` takes."""
    return bar_chart(list(found), np.array(list(found.values())), **chart)


def told(places: Places, found: Values, each: str) -> list[str]:
    """The same in words, a sentence for each name; `each` formats a value and its place."""
    return [
        f"{name}: " + ", ".join(each.format(value, place) for value, place in zip(values, places, strict=True))
        for name, values in found.items()
    ]


def stretches(steps: int, count: int) -> npt.NDArray[np.int64]:
    """Where about `count` stretches of so many steps begin."""
    return np.arange(0, steps, max(1, steps // count))


def means(values: Sequence[float] | Floats, starts: npt.NDArray[np.int64]) -> Floats:
    """Of each stretch."""
    return np.add.reduceat(values, starts) / np.diff([*starts, len(values)])
