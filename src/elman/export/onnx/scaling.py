"""Numbers as they are in the data, and those that a model computes with."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman.export.onnx.graph import Value
from elman.export.onnx.steps import concat


def standardised(x: Value, mean: Any, deviation: Any) -> Value:
    """(x − mean) / deviation for columns of constants, which may be far from 0.

    The mean is taken off in two parts of 32 bits, so that no more is lost than where x itself was rounded.
    """
    exact = np.asarray(mean, np.float64)
    high = exact.astype(np.float32)
    low = (exact - high).astype(np.float32)
    x = x - high if high.any() else x
    x = x - low if low.any() else x
    deviation = np.asarray(deviation, np.float32)
    return x / deviation if (deviation != 1).any() else x


def without_missing(raw: Value, values: Value) -> tuple[Value, Value]:
    """The values with 0 where the raw number is missing (NaN), and 1 in those places, else 0."""
    absent = raw.graph.add("IsNaN", raw)
    return absent.where(0.0, values), raw.graph.cast(absent, "float32")


def with_flags(raw: Value, values: Value) -> Value:
    """Values (…, C) with 0 where the raw number is missing, and flags that say where behind them: (…, 2 C)."""
    return concat(raw.graph, list(without_missing(raw, values)), -1)
