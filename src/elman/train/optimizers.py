"""The optimisers: AdamW, SGD, and Muon."""

from __future__ import annotations

from itertools import compress
from operator import not_
from typing import Any, cast

from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from elman.errors import UserError
from elman.train.settings import Optimization
from elman.train.sharding import is_in_parts

MUON_MOMENTUM = 0.95


def optimizer(model: nn.Module, settings: Optimization) -> Optimizer:
    """The optimiser that the settings name, over a model's parameters.

    Weight decay shrinks matrices alone: a bias or a norm's gain has no need to be small. Nor does it shrink those that
    `model.undecayed()` names, where the model has such a method. `ntasgd` is SGD here; the
    training averages its weights. For `muon`, `model.stacked_maps()` names the matrices between hidden states; where
    the model has no such method, a `UserError` is raised.

    >>> model = nn.LSTM(4, 8)
    >>> made = optimizer(model, Optimization(weight_decay=0.1))
    >>> type(made).__name__, [(len(group["params"]), group["weight_decay"]) for group in made.param_groups]
    ('AdamW', [(2, 0.1), (2, 0.0)])
    """
    s = settings
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    if s.optimizer == "muon":
        if not hasattr(model, "stacked_maps"):
            raise UserError(f"optimizer: {type(model).__name__} has no stacked_maps() for muon", remedy="use adamw")
        stacked = cast(Any, model).stacked_maps()
        own = {"ratio": s.muon_rate / s.learning_rate, "momentum": MUON_MOMENTUM, "weight_decay": s.weight_decay}
        own["rounded"] = s.precision == "bfloat16"
        for maps in sorted(set(stacked.values())):
            held = [p for p in parameters if stacked.get(p) == maps]
            groups.append({"params": held, "maps": maps} | own)
        parameters = [p for p in parameters if p not in stacked]
    spared = set[Tensor](cast(Any, model).undecayed()) if hasattr(model, "undecayed") else set()
    shrinks = [p.dim() > 1 and p not in spared for p in parameters]
    groups += [
        {"params": list(compress(parameters, shrinks)), "weight_decay": s.weight_decay},
        {"params": list(compress(parameters, map(not_, shrinks))), "weight_decay": 0.0},
    ]
    if s.optimizer in ("adamw", "muon"):
        make = AdamW
        if s.optimizer == "muon":
            from elman.train.muon import Muon as make  # with a part of the kernels that others do without
        return make(groups, lr=s.learning_rate, betas=(s.beta1, s.beta2), fused=True)
    whole = not any(is_in_parts(p) for p in parameters)  # torch has no fused SGD of what is in parts
    return SGD(groups, lr=s.learning_rate, momentum=s.momentum, fused=whole)
