"""What a component of `components/` draws in a page with scripts, in place of a figure's drawing."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# The module of each kind; it has a function `mount(data, place)` that returns an element.
COMPONENTS = {
    "lines": "line_figure.js",
    "points": "point_figure.js",
    "bars": "bar_figure.js",
    "heat": "heat_figure.js",
    "alignment": "alignment_figure.js",
    "strip": "strip_figure.js",
    "reading": "reading_figure.js",
    "choice": "choice_figure.js",
}
HALF_MOST, HALF_LEAST = 6e4, 1e-3  # the largest value of an array that is kept in half precision lies between them


@dataclass(frozen=True)
class Chart:
    """The name of a component, and its data: what JSON has, and arrays."""

    kind: str  # a key of `COMPONENTS`
    data: Mapping[str, Any]

    def json(self) -> str:
        """The data as JSON that can stand in a script element."""
        text = json.dumps(self.data, default=pack, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.replace("<", "\\u003c")


@dataclass(frozen=True)
class Half:
    """An array of which three digits are enough, each relative to the largest value."""

    values: np.ndarray[Any, Any]


def pack(array: Any) -> dict[str, Any]:
    """An array as JSON: its shape, and the base64 of its little-endian numbers (f4, or f2 for a `Half`).

    >>> pack(np.array([[1.0, 2.0]]))
    {'shape': [1, 2], 'type': 'f4', 'data': 'AACAPwAAAEA='}
    """
    values = np.asarray(array.values if isinstance(array, Half) else array)
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    half = isinstance(array, Half) and HALF_LEAST <= largest <= HALF_MOST
    kind = "f2" if half else "f4"
    with np.errstate(over="ignore", under="ignore"):
        data = np.ascontiguousarray(values, f"<{kind}").tobytes()
    return {"shape": [*values.shape], "type": kind, "data": base64.b64encode(data).decode()}
