"""Gradient clipping, and the norm of every gradient before and after.

An exploding gradient makes a single step destroy what many steps have learnt. Clipping by norm keeps the direction
(Pascanu, Mikolov & Bengio 2013). Clipping by value bounds each component and so turns the gradient (Mikolov 2012).
Adaptive clipping takes its threshold from a percentile of the recent norms, so that nobody has to guess a number
(AutoClip: Seetharaman et al. 2020).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from elman.train.sharding import is_in_parts

Method = Literal["norm", "value", "adaptive", "none"]


@dataclass(frozen=True)
class Clipped:
    """The norms of one step's gradient. Gradients whose norm is not finite are left alone, and must not be used.

    >>> w = torch.nn.Parameter(torch.zeros(1))
    >>> w.grad = torch.tensor([torch.nan])
    >>> Clipper("norm")([w]).finite
    False
    """

    norm_before: float
    norm_after: float
    clipped: bool

    @property
    def finite(self) -> bool:
        """Whether the gradient's norm is a number."""
        return math.isfinite(self.norm_before)


class Clipper:
    """Clips gradients in place by one method, and tells their norms.

    `threshold` is the largest norm (`norm`) or the largest absolute component (`value`). `adaptive` clips at a
    percentile, in [0, 100], of the last `history` norms; the first steps at that of the norms so far.

    >>> w = torch.nn.Parameter(torch.zeros(2)); w.grad = torch.tensor([3.0, 4.0])
    >>> Clipper("norm", threshold=1.0)([w])
    Clipped(norm_before=5.0, norm_after=1.0, clipped=True)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """

    def __init__(
        self, method: Method = "norm", threshold: float = 1.0, percentile: float = 10.0, history: int = 1000
    ) -> None:
        self.method, self.threshold, self.percentile = method, threshold, percentile
        self.norms: deque[float] = deque(maxlen=history)

    def __call__(self, parameters: Sequence[Tensor], *, taken: bool = True) -> Clipped:
        """Clip the gradients of `parameters` in place; for a step that is not `taken`, only tell their norm."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        before = norm(gradients)
        if self.method == "none" or not taken or not math.isfinite(before):
            return Clipped(before, before, clipped=False)
        if self.method == "value":
            torch.nn.utils.clip_grad_value_(parameters, self.threshold)
            after = norm(gradients)
            return Clipped(before, after, clipped=after < before)
        limit = self.threshold
        if self.method == "adaptive":
            self.norms.append(before)
            limit = float(np.percentile(self.norms, self.percentile))
        if before <= limit:
            return Clipped(before, before, clipped=False)
        torch._foreach_mul_(gradients, limit / before)
        return Clipped(before, limit, clipped=True)


def norm(gradients: Sequence[Tensor]) -> float:
    """The norm of all gradients together, those that lie in parts on several ranks included."""
    total = torch.nn.utils.get_total_norm(gradients)
    return (total.full_tensor() if is_in_parts(total) else total).item()
