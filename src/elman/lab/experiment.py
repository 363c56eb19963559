"""What an experiment is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from elman.report import Figure

OUTCOMES = ("holds", "does not hold", "not decided")  # of a claim
TEST = 999_999  # the step whose batch no training draws

T = TypeVar("T", bound=str | tuple[Any, ...])


@dataclass(frozen=True)
class Setting:
    """How an experiment is run.

    >>> Setting(seed=2).batch_seed(step=7)
    2000007
    """

    quick: bool = True
    seed: int = 1
    progress: Callable[[str, float], None] = lambda name, done: None
    data: Path | None = None  # the file of an experiment that reads one

    def batch_seed(self, step: int) -> int:
        """The seed of a step's batch: all models of an experiment learn from the same batches."""
        return self.seed * 10**6 + step

    def each(self, name: str, trainings: Iterable[T]) -> Iterator[tuple[T, Setting]]:
        """Every training and its setting, whose progress is reported as a share of all trainings."""
        trainings = list(trainings)
        for index, training in enumerate(trainings):
            words = training if isinstance(training, str) else ", ".join(map(str, training))

            def progress(_: str, done: float, label: str = f"{name}: {words}", index: int = index) -> None:
                self.progress(label, (index + done) / len(trainings))

            yield training, replace(self, progress=progress)


@dataclass(frozen=True)
class Findings:
    """The results of an experiment. `met` and `control` follow from the numbers by what was stated beforehand.

    >>> [Findings(met, control, [], []).outcome for met, control in ((True, True), (False, True), (True, False))]
    ['holds', 'does not hold', 'not decided']
    """

    met: bool  # whether the criterion is met
    control: bool  # whether the control passed: a model that fails on the easy case says nothing of the hard one
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
    """A claim that can be run.

    >>> from elman.lab import EXPERIMENTS
    >>> powers = EXPERIMENTS["powers"]
    >>> for words in (powers.claim, powers.criterion, powers.paper):
    ...     print(words)
    The weight of the state k steps before in the state now is the k-th power of the recurrent matrix.
    with inputs so small that tanh is linear, autograd's Jacobians are Wᵏ within 0.001
    Elman 1990; Pascanu, Mikolov & Bengio 2013, section 2
    """

    name: str
    claim: str
    criterion: str  # when the claim is said to hold
    control: str  # what must be true for the criterion to decide anything
    paper: str
    run: Callable[..., Findings]  # of a setting; an experiment that trains also takes the number of `steps`
    needs_data: str = ""  # the name of the file that the experiment reads
