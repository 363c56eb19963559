"""The loss of a model of which every rank keeps its part alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

from elman.distributed import Ranks
from elman.state import State
from elman.train.objective import Layered, Loss, Objective, Place
from elman.train.replica import Replica, Within

Found = TypeVar("Found")


class ShardedReplica(Replica):
    """As `DistributedReplica`, of a model of which each rank keeps a part: of weights, and so of all that goes by them.

    torch's `fully_shard` gathers the weights of a layer for its call, and once more for its backward pass, after which
    each rank gets its part of the gradient's mean. All weights that belong to no layer, such as embeddings, are there
    from the beginning of the loss to the end of its backward pass. Every micro-batch is reduced, for else the gradients
    of the whole model would be kept between them. Rajbhandari et al. 2020, "ZeRO"; Zhao et al. 2023, "PyTorch FSDP".
    """

    def __init__(
        self, model: nn.Module, objective: Objective, device: str, ranks: Ranks, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__(model, objective)
        mesh = init_device_mesh(device, (ranks.size,))
        policy = MixedPrecisionPolicy(reduce_dtype=dtype)
        for layer in objective.layers(model) if isinstance(objective, Layered) else ():
            fully_shard(layer, mesh=mesh, mp_policy=policy)
            if hasattr(layer, "project"):  # a call too
                register_fsdp_forward_method(layer, "project")
        self.within = Within(model)
        fully_shard(self.within, mesh=mesh, mp_policy=policy)

    def __call__(self, place: Place, state: State | None) -> Loss:  # noqa: D102
        with warnings.catch_warnings():  # of outputs that are views: no model of ours writes over those of a layer
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module", category=UserWarning)
            return cast(Loss, self.within(lambda model: self.objective.loss(model, place, state)))

    def read(self, function: Callable[[nn.Module], Found]) -> Found:  # noqa: D102
        try:
            return cast(Found, self.within(function))
        finally:
            cast(FSDPModule, self.within).reshard()  # else weights are kept for a backward pass
