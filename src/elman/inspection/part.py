"""What one look gives: a section of the report, its numbers, and a line for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.report import Section

DIGITS = 6  # of a number in JSON


@dataclass(frozen=True)
class Part:
    """The outcome of a look; the numbers are those of the section."""

    section: Section
    numbers: dict[str, Any]
    lines: Sequence[str] = field(default_factory=list)


def plain(value: Any) -> Any:
    """Arrays and dataclasses' numbers as JSON has them: lists, six digits, null for what is not finite.

    >>> plain({"a": np.array([1 / 3, np.nan]), "b": np.int64(2)})
    {'a': [0.333333, None], 'b': 2}
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
