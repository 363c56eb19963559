"""What an experiment is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from elman.report import Figure

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Setting:
    """How an experiment is run."""

    quick: bool = True
    seed: int = 1
    progress: Progress = lambda name, done: None
    data: Path | None = None  # for those that need some


Outcome = Literal["holds", "does not hold", "not decided"]


@dataclass(frozen=True)
class Findings:
    """What came out. `met` and `control` follow from the numbers, by what the experiment stated beforehand."""

    met: bool  # the criterion
    control: bool  # whether it could show anything: a model that fails on the easy case says nothing of the hard one
    words: Sequence[str]
    figures: Sequence[Figure]
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """Of the claim."""
        if not self.control:
            return "not decided"
        return "holds" if self.met else "does not hold"


@dataclass(frozen=True)
class Experiment:
    """A claim that can be run."""

    name: str
    claim: str
    criterion: str  # when it is said to hold
    control: str  # what must be so for the criterion to decide anything, else nothing is said
    paper: str
    run: Callable[[Setting], Findings]
    needs_data: str = ""  # what file it reads
