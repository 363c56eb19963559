"""The optimisers: AdamW, Muon, SGD, and SGD that starts to average when it stops improving (NT-ASGD)."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import nn
from torch.optim import Optimizer

from elman.errors import UserError

MUON_MOMENTUM = 0.95
Name = Literal["adamw", "muon", "sgd", "ntasgd"]


def optimizer(
    name: Name,
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    beta1: float = 0.9,
    beta2: float = 0.99,
    muon_rate: float = 0.02,
) -> Optimizer:
    """The optimiser of this name over a model's parameters.

    Weight decay pulls at the matrices alone: a bias or a norm's gain has no need to be small.
    `ntasgd` is plain SGD here; its averaging is `averaging.Average`, started by `NonMonotonicTrigger`.
    `muon` asks the model which of its matrices lie between hidden states: `model.stacked_maps()`, see `Muon`.

    Raises:
        UserError: the model does not tell Muon.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    if name == "muon":
        if not hasattr(model, "stacked_maps"):
            raise UserError(f"optimizer: {type(model).__name__} has no stacked_maps() for muon", remedy="use adamw")
        stacked = cast(Any, model).stacked_maps()
        own = {"ratio": muon_rate / learning_rate, "momentum": MUON_MOMENTUM, "weight_decay": weight_decay}
        for maps in sorted(set(stacked.values())):
            held = [p for p in parameters if stacked.get(p) == maps]
            groups.append({"params": held, "maps": maps} | own)
        parameters = [p for p in parameters if p not in stacked]
    groups += [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if name == "muon":
        from elman.train.muon import Muon

        return Muon(groups, lr=learning_rate, betas=(beta1, beta2), fused=True)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, betas=(beta1, beta2), fused=True)
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, fused=True)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class NonMonotonicTrigger:
    """When to start averaging: a validation no better than the best of those more than `interval` ago.

    Merity, Keskar & Socher 2018, "Regularizing and optimizing LSTM language models", algorithm 1.

    >>> trigger = NonMonotonicTrigger(interval=2)
    >>> [trigger(loss) for loss in (3.0, 2.0, 1.9, 1.8, 2.5)]
    [False, False, False, False, True]
    """

    def __init__(self, interval: int = 5) -> None:
        self.interval = interval
        self.losses: list[float] = []

    def __call__(self, loss: float) -> bool:
        """Whether this validation is the trigger."""
        earlier = self.losses[: max(0, len(self.losses) - self.interval)]
        self.losses.append(loss)
        return bool(earlier) and loss > min(earlier)
