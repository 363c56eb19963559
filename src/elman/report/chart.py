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
Array = np.ndarray[Any, Any]

LEVELS = 127  # of a byte, on either side of zero
HALF_LEAST, HALF_MOST = 1e-3, 2048  # the largest value of an array in half precision, which has all integers up to it


@dataclass(frozen=True)
class Chart:
    """The name of a component, and its data: what JSON has, and arrays."""

    kind: str  # a key of `COMPONENTS`
    data: Mapping[str, Any]

    def json(self) -> str:
        """The data as JSON that can stand in a script element."""
        text = json.dumps(self.data, default=pack, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.replace("<", "\\u003c")


def finite(values: Array) -> Array:
    """An array with 0, which has no colour, in place of what is not finite."""
    return np.where(np.isfinite(values), values, 0.0)


def largest(values: Array) -> float:
    """The size of the largest finite number; 1 where there is none but 0.

    >>> largest(np.array([2.0, -3.0, np.inf])), largest(np.array([np.nan]))
    (3.0, 1.0)
    """
    return float(np.abs(finite(values)).max(initial=0.0)) or 1.0


@dataclass(frozen=True)
class Half:
    """An array of which three digits are enough, each relative to the largest value."""

    values: Array

    def pack(self) -> dict[str, Any]:
        """In two bytes a number, where they are not too large or small for it."""
        return pack(self.values, "f2" if HALF_LEAST <= largest(self.values) <= HALF_MOST else "")


@dataclass(frozen=True)
class Coarse:
    """A matrix (R, C) of which steps of 0.8 % of the largest value of each row are enough, as for colours."""

    values: Array

    def pack(self) -> dict[str, Any]:
        """In a byte a number, from -127 to 127 times the scale of the row; -128 is what is not finite."""
        values = finite(self.values)
        scales = np.abs(values).max(1, initial=0.0, keepdims=True) / LEVELS
        levels = np.rint(np.divide(values, scales, out=np.zeros_like(values), where=scales > 0))
        return pack(np.where(np.isfinite(self.values), levels, -1 - LEVELS), "i1") | {"scales": pack(scales[:, 0])}


def pack(array: Any, kind: str = "") -> dict[str, Any]:
    """An array as JSON: its shape, its type and the base64 of its little-endian numbers.

    >>> pack(np.array([[1.0, 2.0]]))
    {'shape': [1, 2], 'type': 'f4', 'data': 'AACAPwAAAEA='}
    """
    if isinstance(array, Half | Coarse):
        return array.pack()
    values = np.asarray(array)
    kind = kind or ("f4" if _fit_single(values) else "f8")
    data = np.ascontiguousarray(values, f"<{kind}").tobytes()
    return {"shape": [*values.shape], "type": kind, "data": base64.b64encode(data).decode()}


def _fit_single(values: Array) -> bool:
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    single = np.finfo(np.float32)
    return not len(sizes) or bool(sizes.min() >= single.tiny and sizes.max() <= single.max)
