"""Muon: momentum that is made orthogonal.

Muon makes the momentum of the matrices between hidden states orthogonal. A gradient's largest singular values drown
the others; Muon gives all of them the same size, so that a step changes a matrix alike in every direction (Jordan et
al. 2024, "Muon: an optimizer for hidden layers in neural networks"). Muon learns more from a batch than AdamW, and
costs as much time as the batch's last few hundred tokens. A training in bfloat16 makes the momentum orthogonal in
bfloat16 too: its polynomials bring singular values near 1 whatever the rounding, in half the time.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.optim import AdamW

from elman.kernels.orthogonal import Maps, add_orthogonal, orthogonal
from elman.train.sharding import divided, is_in_parts

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


class Muon(AdamW):
    """Muon for the groups that have `maps`, and AdamW, on the same schedule, for the others.

    A group with `maps` C holds matrices (C * M, N): C maps, such as an LSTM's four gates, stand one above the other,
    and each is made orthogonal by itself. A step changes each singular vector by `lr` times the group's `ratio`, in
    units of sqrt(M / N) if M > N. `momentum` is that of the running mean of the gradients, which predicts the next
    gradient (Nesterov).

    >>> from elman.models import build
    >>> from elman.train import Optimization, optimizer
    >>> model = build({"model": "lstm", "vocab_size": 9, "hidden_size": 8})
    >>> made = optimizer(model, Optimization(optimizer="muon"))
    >>> [group["maps"] for group in made.param_groups if "maps" in group]  # the four gates of W_hh
    [4]
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; the parameters of Muon have none afterwards."""
        every: dict[bool, list[Maps]] = defaultdict(list)
        for group in self.param_groups:
            if "maps" not in group:
                continue
            rate, held = group["lr"] * group["ratio"], [p for p in group["params"] if p.grad is not None]
            for parameter, ahead in zip(held, self._ahead(held, group["momentum"]), strict=True):
                parameter.mul_(1 - rate * group["weight_decay"])
                parameter.grad = None  # AdamW passes over parameters without a gradient
                if is_in_parts(ahead):
                    self._step_in_parts(parameter, ahead, group)
                    continue
                M, N = len(parameter) // group["maps"], parameter.shape[1]
                step = Maps(parameter, ahead, group["maps"], -rate * max(1.0, M / N) ** 0.5)
                every[group["rounded"]].append(step)
        for rounded, steps in every.items():
            add_orthogonal(steps, rounded=rounded)
        super().step()

    def _step_in_parts(self, parameter: Tensor, ahead: DTensor, group: dict[str, Any]) -> None:
        """The same of a matrix that lies in parts on the ranks: every rank has it whole while its step is made."""
        maps = torch.stack(ahead.full_tensor().chunk(group["maps"]))  # (C, M, N)
        C, M, N = maps.shape
        step = orthogonal(maps, rounded=group["rounded"]).reshape(C * M, N)
        parameter.add_(divided(step, parameter), alpha=-group["lr"] * group["ratio"] * max(1.0, M / N) ** 0.5)

    def _ahead(self, parameters: list[Tensor], momentum: float) -> list[Tensor]:
        """The gradients' running means one step ahead, in the place of the gradients."""
        if not parameters:
            return []
        gradients = [cast(Tensor, p.grad) for p in parameters]
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros(())  # AdamW asks every loaded state for its step
                state["mean"] = torch.zeros_like(parameter)
            state["step"] += 1
        means = [self.state[p]["mean"] for p in parameters]
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        torch._foreach_lerp_(gradients, means, momentum)
        return gradients
