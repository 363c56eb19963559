"""Gradient clipping, and what it did: every step's norm before and after.

Exploding gradients make a single step destroy what many have learnt. Clipping by norm keeps the direction
(Pascanu, Mikolov & Bengio 2013); clipping by value caps each component and so turns the gradient (Mikolov
2012); adaptive clipping takes its threshold from a percentile of the norms seen lately, so that no number has
to be guessed (AutoClip: Seetharaman et al. 2020).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Method = Literal["norm", "value", "adaptive", "none"]


@dataclass(frozen=True)
class Clipped:
    """One step's telemetry. Where `finite` is false the gradients were left alone and must not be used."""

    norm_before: float
    norm_after: float
    clipped: bool

    @property
    def finite(self) -> bool:
        """Whether the gradient's norm is a number."""
        return math.isfinite(self.norm_before)


@dataclass
class Clipper:
    """Clips gradients in place by one `method` and says what it did.

    Args:
        method: `norm`, `value`, `adaptive` or `none`.
        threshold: the largest norm (`norm`) or the largest absolute component (`value`).
        percentile: `adaptive` clips at this percentile, in [0, 100], of the `history` recent norms.
        history: how many norms `adaptive` remembers; the first steps clip at what there is.

    >>> w = torch.nn.Parameter(torch.zeros(2)); w.grad = torch.tensor([3.0, 4.0])
    >>> Clipper("norm", threshold=1.0)([w])
    Clipped(norm_before=5.0, norm_after=1.0, clipped=True)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """

    method: Method = "norm"
    threshold: float = 1.0
    percentile: float = 10.0
    history: int = 1000
    norms: deque[float] = field(default_factory=deque)

    def __call__(self, parameters: Sequence[Tensor], *, taken: bool = True) -> Clipped:
        """Clip the gradients of `parameters` in place; of a step that is not `taken`, only tell their norm."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        before = norm.item()
        if self.method == "none" or not taken or not math.isfinite(before):
            return Clipped(before, before, clipped=False)
        if self.method == "value":
            torch.nn.utils.clip_grad_value_(parameters, self.threshold)
            after = torch.nn.utils.get_total_norm(gradients).item()
            return Clipped(before, after, clipped=after < before)
        limit = self.threshold if self.method == "norm" else self._adapt(before)
        if before <= limit:
            return Clipped(before, before, clipped=False)
        torch._foreach_mul_(gradients, limit / before)
        return Clipped(before, limit, clipped=True)

    def _adapt(self, norm: float) -> float:
        self.norms.append(norm)
        while len(self.norms) > self.history:
            self.norms.popleft()
        return float(np.percentile(self.norms, self.percentile))
