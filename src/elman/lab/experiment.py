"""What an experiment is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from elman.report import Figure

OUTCOMES = ("holds", "does not hold", "not decided")  # of a claim
TEST = 999_999  # the step whose batch no training draws


@dataclass(frozen=True)
class Setting:
    """How an experiment is run."""

    quick: bool = True
    seed: int = 1
    progress: Callable[[str, float], None] = lambda name, done: None
    data: Path | None = None  # for those that need some

    def draw(self, step: int) -> int:
        """The seed of a step's batch: every model of an experiment learns from the same batches."""
        return self.seed * 10**6 + step

    def part(self, name: str, index: int, count: int) -> Setting:
        """The same for one of `count` trainings, whose progress is told as that of all."""
        return replace(self, progress=lambda _, done: self.progress(name, (index + done) / count))


@dataclass(frozen=True)
class Findings:
    """What came out. `met` and `control` follow from the numbers, by what the experiment stated beforehand."""

    met: bool  # the criterion
    control: bool  # whether it could show anything: a model that fails on the easy case says nothing of the hard one
    words: Sequence[str]
    figures: Sequence[Figure]
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """One of `OUTCOMES`."""
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
    run: Callable[..., Findings]  # of a setting; what is trained takes other `steps` than that asks for
    needs_data: str = ""  # what file it reads
