"""Requests that hold units, gates or heads of a model while they run, and what reads with a model that is held so.

Works that hold the same are read together. What was held is part of a session's trail: ways back, forks and watching
read again as it was read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import Field

from elman.lens.intervention import Intervention, hold
from elman.settings import Section

T = TypeVar("T")
MOST = 256  # things that a request may hold
KEPT = 16  # held models, the last ones that were asked for

Interventions = tuple[Intervention, ...]


class HoldingOptions(Section):
    """What every request may ask for."""

    set: Interventions = Field((), max_length=MOST, description="What is held at a value while the request runs.")


class HoldingRequest(ABC):
    """A checked request that may hold something while it runs."""

    @property
    @abstractmethod
    def interventions(self) -> Interventions:
        """What is held while the request runs."""

    @property
    def held(self) -> Sequence[Mapping[str, Any]]:
        """The same as JSON has it, for the session's trail."""
        return [one.model_dump(exclude_defaults=True) for one in self.interventions]


class HeldReaders(Generic[T]):
    """What reads works: one reader of the model as it is, and one for each set of interventions, made when it is due.

    Args:
        model: the model as it is.
        make: makes a reader of a model.
        plain: the reader of the model as it is, if it is made otherwise.
    """

    def __init__(self, model: Any, make: Callable[[Any], T], plain: T | None = None) -> None:
        self.plain = make(model) if plain is None else plain
        self._held = lru_cache(KEPT)(lambda held: make(hold(model, held)))

    def __call__(self, request: HoldingRequest) -> T:
        """The reader of a request, the same for requests that hold the same."""
        return self._held(request.interventions) if request.interventions else self.plain
