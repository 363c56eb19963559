"""The objective of a training: a loss on each batch, and metrics on the validation set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from elman.distributed import Ranks
from elman.state import State


class Loss(NamedTuple):
    """The mean loss of a batch (a scalar with its graph), the number of its targets, and the state after it.

    Where a rank has no row of a batch, its loss is that of another's row, and it has no target.

    >>> import torch
    >>> parts = Loss(torch.tensor(2.5), targets=60, state=None), Loss(torch.tensor(3.5), targets=20, state=None)
    >>> sum(part.mean * part.targets for part in parts) / sum(part.targets for part in parts)  # every target alike
    tensor(2.7500)
    """

    mean: Tensor
    targets: int
    state: State | None


class Place(NamedTuple):
    """Where a training is: the present batch of the present epoch, and the spent fraction of the budget.

    >>> Place(epoch=2, batch=0, progress=0.5)  # half of the budget is spent, and the third pass begins
    Place(epoch=2, batch=0, progress=0.5)
    """

    epoch: int
    batch: int
    progress: float


class Adaptive(Protocol):
    """A measurement of the model after each validation, by which the objective trains on."""

    def adapt(self, model: nn.Module, state: State | None) -> dict[str, float]:
        """Measure the model from the carried state, and return the findings by name."""

    def values(self) -> dict[str, int]:
        """All that `restore` needs to go on exactly."""

    def restore(self, values: dict[str, int]) -> None:
        """The inverse of `values`."""


class Objective(Protocol):
    """Batches in a fixed order, and a loss on each. A task provides its objective; the loop knows no more of it.

    The example is that of a line through points:

    >>> import torch
    >>> from elman.train import Budget, Optimization, Training, steps
    >>> class Line:
    ...     training_size, validation_size, metric, adaptive = 8, 8, "loss", None
    ...     x = torch.linspace(-1, 1, 8)[:, None]
    ...     def error(self, model):
    ...         return (model(self.x) - 3 * self.x).square().mean()
    ...     def batches(self, epoch):
    ...         return 1
    ...     def loss(self, model, place, state):
    ...         return Loss(self.error(model), 8, None)
    ...     def validate(self, model):
    ...         return {"loss": self.error(model).item()}
    ...     def cost(self, metrics):
    ...         return metrics["loss"]
    ...     def describe(self, metrics):
    ...         return f"squared error {metrics['loss']:.3g}"
    ...     def initial_state(self, model):
    ...         return None
    >>> model = nn.Linear(1, 1)
    >>> taken = [*steps(Training(model, Line(), Optimization(learning_rate=0.1, weight_decay=0), Budget(200, "steps")))]
    >>> len(taken), round(model.weight.item(), 1)
    (200, 3.0)
    """

    training_size: int  # targets of an epoch
    validation_size: int  # targets of the validation set
    metric: str  # the name of the metric by which the best weights are chosen

    @property
    def adaptive(self) -> Adaptive | None:
        """The measurement after each validation; None: there is none."""

    def batches(self, epoch: int) -> int:
        """How many batches an epoch has."""

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        """The loss on one batch, read from the state after the batch before."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics on the validation set."""

    def cost(self, metrics: dict[str, float]) -> float:
        """A number that is least for the best weights: a loss, or another metric with its sign turned."""

    def describe(self, metrics: dict[str, float]) -> str:
        """The metrics in the words of the task."""

    def initial_state(self, model: nn.Module) -> State | None:
        """A fresh state, whose tree a checkpoint's tensors are put into."""


@runtime_checkable
class Divisible(Protocol):
    """An objective that several processes share."""

    def divide(self, ranks: Ranks) -> None:
        """Read from now on, of every batch, the rows of this rank alone; sizes stay those of all ranks."""


@runtime_checkable
class Layered(Protocol):
    """An objective that knows layers of a model, whose weights need not be in RAM but while one is called."""

    def layers(self, model: nn.Module) -> Iterable[nn.Module]:
        """The layers that a loss reads by calls alone, equally many on every rank."""
