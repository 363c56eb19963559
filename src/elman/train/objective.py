"""What a training asks of a task: a loss on each batch, and metrics on the validation set."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor, nn

from elman.state import State


class Loss(NamedTuple):
    """The mean loss of a batch (a scalar with its graph), over how many targets, and the memory after it."""

    mean: Tensor
    targets: int
    state: State | None


class Place(NamedTuple):
    """Where a training is: this batch of this epoch, and the spent fraction of the budget."""

    epoch: int
    batch: int
    progress: float


class Adaptive(Protocol):
    """What an objective finds out about the model now and then, and trains on by."""

    def adapt(self, model: nn.Module, state: State | None) -> dict[str, float]:
        """Measure, after a validation, with the memory that is carried; returns what was found, by name."""
        ...

    def values(self) -> dict[str, int]:
        """All that `restore` needs to go on exactly."""
        ...

    def restore(self, values: dict[str, int]) -> None:
        """The inverse of `values`."""
        ...


class Objective(Protocol):
    """What is learnt: batches in a fixed order, and a loss on each. Tasks provide it; the loop knows no more."""

    training_size: int
    """How many targets an epoch has."""

    validation_size: int
    """How many targets the validation set has."""

    metric: str
    """The name of what tells the best weights among the metrics of a validation."""

    @property
    def adaptive(self) -> Adaptive | None:
        """What is measured after each validation; None: nothing."""
        ...

    def batches(self, epoch: int) -> int:
        """How many batches an epoch has."""
        ...

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        """The loss on one batch, with the memory that the batch before it left."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics on the validation set."""
        ...

    def cost(self, metrics: dict[str, float]) -> float:
        """What is least for the best weights: the metric if that is a loss, or the metric with its sign turned."""
        ...

    def describe(self, metrics: dict[str, float]) -> str:
        """Metrics in the words of the task."""
        ...

    def initial_state(self, model: nn.Module) -> State | None:
        """A fresh memory, for its tree."""
        ...
