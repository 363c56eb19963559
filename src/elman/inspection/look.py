"""What a look is: a function of what is observed that gives a section of the report, its numbers, and lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from elman.report import Chapter

DIGITS = 6  # of a number in JSON


@dataclass(frozen=True)
class Part:
    """The outcome of a look; the numbers are those of the section."""

    section: Chapter
    numbers: dict[str, Any]
    lines: Sequence[str] = field(default_factory=list)  # for a terminal


class Observed(Protocol):
    """A run's model, and data that it reads."""

    @property
    def path(self) -> Path:
        """The run's folder."""
        ...

    @property
    def model(self) -> Any:
        """The model."""
        ...

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """What the data are, for people."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What the data are, for programs."""
        ...


@dataclass(frozen=True)
class Look:
    """One look; `why_not` says why it cannot look at what is observed (None: it can)."""

    look: Callable[[Any], Part]
    why_not: Callable[[Any], str | None] = lambda observed: None


def has_no_journal(observed: Observed) -> str | None:
    """A `why_not` of looks at a training."""
    return None if (observed.path / "metrics.jsonl").is_file() else "it has no metrics.jsonl"


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
