"""Muon: momentum made orthogonal, for the matrices between hidden states; AdamW for everything else.

A gradient's largest singular values drown the others. Muon gives them all the same size, so that a step changes
what a matrix does in every direction alike (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural
networks"). It learns more from a batch than AdamW, and its own cost is that of the batch's last few hundred tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

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

    >>> orthogonal(torch.diag(torch.tensor([3.0, -1.0, 0.1]))).round(decimals=1).diag()
    tensor([ 1.0000, -1.0000,  1.1000])
    """
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * MARGIN + 1e-20)
    for a, b, c in POLYNOMIALS:
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(AdamW):
    """Muon for the matrices in `stacked`, and AdamW, of the same schedule, for all other parameters.

    Args:
        groups: parameter groups as AdamW takes them.
        stacked: how many maps, such as an LSTM's four gates, stand one above the other in a matrix (C * M, N). Each
            is made orthogonal by itself.
        lr: AdamW's learning rate; it and `muon_lr` keep their ratio when the groups' rates are set.
        muon_lr: how far a step goes: the length of each singular vector's change, in units of sqrt(M / N) if M > N.
        momentum: of the gradients' running mean, from which the next gradient is looked ahead to (Nesterov).
        others: AdamW's own arguments.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        stacked: Mapping[Tensor, int],
        *,
        lr: float,
        muon_lr: float,
        momentum: float = 0.95,
        **others: Any,
    ) -> None:
        super().__init__(groups, lr=lr, **others)
        self.stacked = stacked
        self.ratio = muon_lr / lr
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; Muon's have none afterwards."""
        for group in self.param_groups:
            rate = group["lr"] * self.ratio
            # Maps of one shape are made orthogonal together.
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter not in self.stacked or parameter.grad is None:
                    continue
                directions = self._direction(parameter, parameter.grad)
                parameter.mul_(1 - rate * group["weight_decay"])
                maps = self.stacked[parameter]
                for map, direction in zip(parameter.chunk(maps), directions.chunk(maps), strict=True):
                    alike[map.shape].append((map, direction))
                parameter.grad = None  # AdamW passes it over
            for (M, N), pairs in alike.items():
                steps = orthogonal(torch.stack([direction for _, direction in pairs]))
                for (map, _), step in zip(pairs, steps, strict=True):
                    map.add_(step, alpha=-rate * max(1.0, M / N) ** 0.5)
        super().step()

    def _direction(self, parameter: Tensor, gradient: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())  # AdamW looks for it wherever it loads a state
            state["mean"] = torch.zeros_like(parameter)
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - self.momentum)
        return gradient.lerp(state["mean"], self.momentum)
