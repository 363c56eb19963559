"""The loss of a model on a batch, whose gradients are those of all ranks where there are several."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any, cast

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from elman.distributed import Ranks
from elman.state import State
from elman.train.objective import Loss, Objective, Place

# Buffers are equal on all ranks, since all validate alike. Up to torch 2.12 the option has another name.
_NAMES = signature(DistributedDataParallel.__init__).parameters
KEEP_BUFFERS: dict[str, Any] = {
    "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers": False
}


class Replica:
    """`replica(place, state)`: the loss of a batch by this process's copy of the model."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self.model, self.objective = model, objective

    def __call__(self, place: Place, state: State | None) -> Loss:
        """The loss of the batch at a place, read from a state."""
        return self.objective.loss(self.model, place, state)

    def reducing(self, last: bool) -> AbstractContextManager[None]:
        """Within this, the loss is computed, and its backward pass; `last` of those of a step."""
        return nullcontext()


class DistributedReplica(Replica):
    """As `Replica`; after the last backward pass of a step, gradients are means over the ranks.

    torch's DistributedDataParallel sends the gradients of the layers that are done while those below are computed. It
    wraps the loss rather than the model, since an objective calls a model in ways of its own.
    """

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__(model, objective)
        self.parallel = DistributedDataParallel(_LossOf(model, objective), **KEEP_BUFFERS)

    def __call__(self, place: Place, state: State | None) -> Loss:  # noqa: D102
        return cast(Loss, self.parallel(place, state))

    def reducing(self, last: bool) -> AbstractContextManager[None]:  # noqa: D102
        return nullcontext() if last else self.parallel.no_sync()


class _LossOf(nn.Module):
    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, place: Place, state: State | None) -> Loss:
        return self.objective.loss(self.model, place, state)


def replica(model: nn.Module, objective: Objective, ranks: Ranks) -> Replica:
    """The loss as this one of the processes computes it."""
    return DistributedReplica(model, objective) if ranks.size > 1 else Replica(model, objective)
