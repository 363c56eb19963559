"""What an experiment is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elman.report import Figure

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Setting:
    """How an experiment is run."""

    quick: bool = True
    seed: int = 1
    progress: Progress = lambda name, done: None
    data: Path | None = None  # for those that need some


@dataclass(frozen=True)
class Findings:
    """What came out. `held` follows from the numbers by the experiment's criterion."""

    held: bool
    words: Sequence[str]
    figures: Sequence[Figure]
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A claim that can be run."""

    name: str
    claim: str
    criterion: str  # when it is said to have held
    paper: str
    run: Callable[[Setting], Findings]
    needs_data: str = ""  # what file it reads
