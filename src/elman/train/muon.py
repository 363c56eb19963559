"""Muon: momentum made orthogonal, for the matrices between hidden states; AdamW for everything else.

A gradient's largest singular values drown the others. Muon gives them all the same size, so that a step changes
what a matrix does in every direction alike (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural
networks"). It learns more from a batch than AdamW, and its own cost is that of the batch's last few hundred tokens.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor
from torch.optim import AdamW

# Of the polynomials a x + b x^3 + c x^5 that are applied in turn, those that bring every x in [0.001, 1] to within
# 0.15 of 1 (Amsel et al. 2025, "The Polar Express", arXiv:2505.16932).
POLYNOMIALS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
MARGIN = 1.01  # rounding must not bring a singular value above 1, where the first polynomial is steep


def orthogonal(x: Tensor) -> Tensor:
    """About U V^T, where x = U S V^T: the nearest orthogonal matrix, by matmuls alone. x (..., M, N).

    >>> orthogonal(torch.diag(torch.tensor([3.0, -1.0, 0.1]))).round(decimals=1).diag().tolist()
    [1.0, -1.100000023841858, 0.8999999761581421]
    """
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * MARGIN + 1e-20)
    for a, b, c in POLYNOMIALS:
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(AdamW):
    """Muon for the groups that have `maps`, and AdamW, on the same schedule, for the others.

    A group with `maps` C holds matrices (C * M, N): so many maps, such as an LSTM's four gates, stand one above the
    other, and each is made orthogonal by itself. How far a step of these goes is `lr` times the group's `ratio`: the
    length by which each singular vector changes, in units of sqrt(M / N) if M > N. `momentum` is that of the running
    mean of the gradients, from which the next gradient is looked ahead to (Nesterov).
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; Muon's have none afterwards."""
        # Maps of one shape are made orthogonal together.
        alike: dict[torch.Size, list[tuple[Tensor, Tensor, float]]] = defaultdict(list)
        for group in self.param_groups:
            if "maps" not in group:
                continue
            rate = group["lr"] * group["ratio"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - rate * group["weight_decay"])
                ahead = self._ahead(parameter, parameter.grad, group["momentum"])
                pairs = zip(parameter.chunk(group["maps"]), ahead.chunk(group["maps"]), strict=True)
                for map, direction in pairs:
                    alike[map.shape].append((map, direction, rate))
                parameter.grad = None  # AdamW passes it over
        for (M, N), maps in alike.items():
            steps = orthogonal(torch.stack([direction for _, direction, _ in maps]))
            for (map, _, rate), step in zip(maps, steps, strict=True):
                map.add_(step, alpha=-rate * max(1.0, M / N) ** 0.5)
        super().step()

    def _ahead(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())  # AdamW looks for it wherever it loads a state
            state["mean"] = torch.zeros_like(parameter)
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["mean"], momentum)
