"""The loss of a model on a batch, whose gradients are those of all ranks where there are several."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from elman.distributed import Ranks
from elman.state import State
from elman.train.objective import Loss, Objective, Place

Found = TypeVar("Found")
REDUCTION = {"float32": None, "bfloat16": torch.bfloat16}  # None: their own dtype

# Buffers are equal on all ranks, since all validate alike. Up to torch 2.12 the option has another name.
_NAMES = signature(DistributedDataParallel.__init__).parameters
KEEP_BUFFERS: dict[str, Any] = {
    "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers": False
}


class Replica:
    """`replica(place, state)`: the loss of a batch by this process's copy of the model."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self.model, self.objective = model, objective

    def begin(self) -> None:
        """A step begins."""

    def seconds(self) -> float | None:
        """From the beginning of the step until its last gradient was computed; None where that is not known."""
        return None

    def __call__(self, place: Place, state: State | None) -> Loss:
        """The loss of the batch at a place, read from a state."""
        return self.objective.loss(self.model, place, state)

    def reducing(self, last: bool) -> AbstractContextManager[None]:
        """Within this, the loss is computed, and its backward pass; `last` of those of a step."""
        return nullcontext()

    def read(self, function: Callable[[nn.Module], Found]) -> Found:
        """What a function that uses the model returns; no gradient flows through the model's weights."""
        return function(self.model)


class DistributedReplica(Replica):
    """As `Replica`; after the last backward pass of a step, gradients are means over the ranks.

    torch's DistributedDataParallel sends the gradients of the layers that are done while those below are computed. It
    wraps the loss rather than the model, since an objective calls a model in ways of its own. After the first step its
    buckets hold the gradients in the order in which they are finished.

    Args:
        dtype: of gradients on their way; sums of bfloat16 have 8 digits, of which each rank's part is rounded.
    """

    def __init__(self, model: nn.Module, objective: Objective, dtype: torch.dtype | None = None) -> None:
        super().__init__(model, objective)
        self.parallel = DistributedDataParallel(Within(model), **KEEP_BUFFERS)
        self.dtype = dtype
        self.parallel.register_comm_hook(None, lambda _, bucket: self._send(bucket.buffer()))
        self.cuda = next(model.parameters()).is_cuda

    def _send(self, gradients: Tensor) -> torch.futures.Future[Tensor]:
        """Send the gradients of a bucket, all of which have been computed."""
        self.sent = self._now()
        sent = gradients.to(self.dtype or gradients.dtype).div_(dist.get_world_size())
        future = dist.all_reduce(sent, async_op=True).get_future()
        return future.then(lambda done: gradients if sent is gradients else gradients.copy_(sent))

    def _now(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def begin(self) -> None:  # noqa: D102
        self.begun = self._now()

    def seconds(self) -> float:  # noqa: D102
        if not self.cuda:
            return cast(float, self.sent - self.begun)
        self.sent.synchronize()
        return cast(float, self.begun.elapsed_time(self.sent) / 1000)

    def __call__(self, place: Place, state: State | None) -> Loss:  # noqa: D102
        return cast(Loss, self.parallel(lambda model: self.objective.loss(model, place, state)))

    def reducing(self, last: bool) -> AbstractContextManager[None]:  # noqa: D102
        return nullcontext() if last else self.parallel.no_sync()


class Within(nn.Module):
    """Calls functions of a model as a module's `forward`, where torch's wrappers do their part."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[[nn.Module], Any]) -> Any:
        """What the function returns."""
        return function(self.model)


def replica(model: nn.Module, objective: Objective, ranks: Ranks, device: str, reduction: str = "float32") -> Replica:
    """The loss as this one of the processes computes it."""
    if ranks.size == 1:
        return Replica(model, objective)
    if ranks.together:
        from elman.train.sharded_replica import ShardedReplica  # and torch's FSDP2, which takes long to import

        return ShardedReplica(model, objective, device, ranks, REDUCTION[reduction])
    return DistributedReplica(model, objective, REDUCTION[reduction])
