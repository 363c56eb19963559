"""A look: a function of a model and its data that gives a chapter of the report and its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elman.report import Chapter

DIGITS = 6  # of a number in JSON


@dataclass(frozen=True)
class Part:
    """The outcome of a look; the numbers are those of the chapter.

    >>> part = Part(Chapter("Weights", "How large they are."), {"norm": 3.5}, ["the norm of the weights is 3.5"])
    >>> part.chapter.title, part.numbers
    ('Weights', {'norm': 3.5})
    """

    chapter: Chapter
    numbers: dict[str, Any]
    lines: Sequence[str] = ()  # for a terminal
    summary: str = ""  # a sentence for the head of the report and of the terminal's lines


@dataclass(frozen=True)
class Observed:
    """A run's model, the same model before its training, and data that both read.

    >>> import elman
    >>> run = elman.load("runs/demo")
    >>> observed = run.task.observe(run, [])
    >>> [*observed.models], observed.model is run.model
    (['trained', 'untrained'], True)
    """

    path: Path  # of the run
    model: Any
    fresh: Any  # the model before its training
    fresh_name: str
    facts: Sequence[tuple[str, str]]  # names and values of the data, for people
    about: Mapping[str, Any]  # names and values of the data, for programs

    @property
    def models(self) -> dict[str, Any]:
        """Both models, by their names for people."""
        return {"trained": self.model, self.fresh_name: self.fresh}


@dataclass(frozen=True)
class Look:
    """One look; `why_not` says why the look is impossible at what is observed, or None.

    >>> import elman
    >>> from elman.inspection import inspect
    >>> def look(observed):
    ...     norms = {name: model.decoder.weight.norm().item() for name, model in observed.models.items()}
    ...     chapter = Chapter("The output layer", "How large its weights are, trained and untrained.")
    ...     return Part(chapter, norms, [f"the norm has grown by {norms['trained'] / norms['untrained']:.0%}"])
    >>> run = elman.load("runs/demo")
    >>> found = inspect(run.task.observe(run, []), {"output": Look(look)})
    >>> sorted(found.numbers["output"])
    ['trained', 'untrained']
    """

    look: Callable[[Any], Part]
    why_not: Callable[[Any], str | None] = lambda observed: None


def plain(value: Any) -> Any:
    """Arrays and numbers as JSON has them: lists, six digits, null for a number that is not finite.

    >>> plain({"a": np.array([1 / 3, np.nan]), "b": np.int64(2)})
    {'a': [0.333333, None], 'b': 2}
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
