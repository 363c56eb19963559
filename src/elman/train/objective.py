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


class Objective(Protocol):
    """What is learnt: batches in a fixed order, and a loss on each. Tasks provide it; the loop knows no more."""

    batches: int
    """How many batches an epoch has."""

    training_size: int
    """How many targets an epoch has."""

    validation_size: int
    """How many targets the validation set has."""

    def loss(self, model: nn.Module, batch: int, state: State | None) -> Loss:
        """The loss on one batch of the epoch, with the memory that the batch before it left."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics on the validation set; `loss` among them decides which weights are best."""
        ...

    def initial_state(self, model: nn.Module) -> State | None:
        """A fresh memory, for its tree."""
        ...
