"""The optimisers: AdamW, SGD, and Muon.

Muon makes the momentum of the matrices between hidden states orthogonal. A gradient's largest singular values drown
the others; Muon gives all of them the same size, so that a step changes a matrix alike in every direction (Jordan et
al. 2024, "Muon: an optimizer for hidden layers in neural networks"). Muon learns more from a batch than AdamW, and
costs as much time as the batch's last few hundred tokens. A training in bfloat16 makes the momentum orthogonal in
bfloat16 too: the polynomials below bring singular values near 1 whatever the rounding, in a third of the time.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import compress
from operator import not_
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from elman.errors import UserError
from elman.train.settings import Optimization
from elman.train.sharding import divided, is_in_parts

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

MUON_MOMENTUM = 0.95

# Polynomials a x + b x^3 + c x^5 that, applied in turn, bring every x in [0.001, 1] to within 0.15 of 1 (Amsel et al.
# 2025, "The Polar Express", arXiv:2505.16932).
POLYNOMIALS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
MARGIN = 1.01  # rounding must not bring a singular value above 1, where the first polynomial is steep


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
        make = {"adamw": AdamW, "muon": Muon}[s.optimizer]
        return make(groups, lr=s.learning_rate, betas=(s.beta1, s.beta2), fused=True)
    whole = not any(is_in_parts(p) for p in parameters)  # torch has no fused SGD of what is in parts
    return SGD(groups, lr=s.learning_rate, momentum=s.momentum, fused=whole)


def orthogonal(x: Tensor, *, rounded: bool = False) -> Tensor:
    """About U V^T, where x = U S V^T: the nearest orthogonal matrix, by matmuls alone, `rounded` to bfloat16 each.

    x (..., M, N), as is the result, in the dtype of x.

    >>> orthogonal(torch.diag(torch.tensor([3.0, -1.0, 0.1]))).round(decimals=1).diag().tolist()
    [1.0, -1.100000023841858, 0.8999999761581421]
    """
    tall, dtype = x.shape[-2] > x.shape[-1], x.dtype
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * MARGIN + 1e-20)
    shape, x = x.shape, (x.bfloat16() if rounded else x).reshape(-1, *x.shape[-2:])
    for a, b, c in POLYNOMIALS:  # a x + (b square + c square square) x, the sums by the products themselves
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    x = x.view(shape)
    return (x.mT if tall else x).to(dtype)


class Muon(AdamW):
    """Muon for the groups that have `maps`, and AdamW, on the same schedule, for the others.

    A group with `maps` C holds matrices (C * M, N): C maps, such as an LSTM's four gates, stand one above the other,
    and each is made orthogonal by itself. A step changes each singular vector by `lr` times the group's `ratio`, in
    units of sqrt(M / N) if M > N. `momentum` is that of the running mean of the gradients, which predicts the next
    gradient (Nesterov).

    >>> from elman.models import build
    >>> model = build({"model": "lstm", "vocab_size": 9, "hidden_size": 8})
    >>> made = optimizer(model, Optimization(optimizer="muon"))
    >>> [group["maps"] for group in made.param_groups if "maps" in group]  # the four gates of W_hh
    [4]
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; the parameters of Muon have none afterwards."""
        # Maps of one shape are made orthogonal together.
        alike: dict[tuple[torch.Size, bool], list[tuple[Tensor, Tensor, float]]] = defaultdict(list)
        for group in self.param_groups:
            if "maps" not in group:
                continue
            rate = group["lr"] * group["ratio"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - rate * group["weight_decay"])
                ahead = self._ahead(parameter, parameter.grad, group["momentum"])
                parameter.grad = None  # AdamW passes over parameters without a gradient
                if is_in_parts(ahead):
                    self._step_in_parts(parameter, ahead, group)
                    continue
                pairs = zip(parameter.chunk(group["maps"]), ahead.chunk(group["maps"]), strict=True)
                for map, direction in pairs:
                    alike[map.shape, group["rounded"]].append((map, direction, rate))
        for ((M, N), rounded), maps in alike.items():
            steps = orthogonal(torch.stack([direction for _, direction, _ in maps]), rounded=rounded)
            for (map, _, rate), step in zip(maps, steps, strict=True):
                map.add_(step, alpha=-rate * max(1.0, M / N) ** 0.5)
        super().step()

    def _step_in_parts(self, parameter: Tensor, ahead: DTensor, group: dict[str, Any]) -> None:
        """The same of a matrix that lies in parts on the ranks: every rank has it whole while its step is made."""
        maps = torch.stack(ahead.full_tensor().chunk(group["maps"]))  # (C, M, N)
        C, M, N = maps.shape
        step = orthogonal(maps, rounded=group["rounded"]).reshape(C * M, N)
        parameter.add_(divided(step, parameter), alpha=-group["lr"] * group["ratio"] * max(1.0, M / N) ** 0.5)

    def _ahead(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())  # AdamW asks every loaded state for its step
            state["mean"] = torch.zeros_like(parameter)
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["mean"], momentum)
