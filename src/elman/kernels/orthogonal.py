"""Matrices made orthogonal by products alone, as Muon's steps are: readable, and by the compiled core."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from elman.kernels.native import orthogonal as core

# Polynomials a x + b x^3 + c x^5 that, applied in turn, bring every x in [0.005, 1] to within 0.11 of 1. Each is the
# best one for what those before it left, up to 1.03 times the largest of it, for beyond, where rounding may lead, they
# are steep (Amsel et al. 2025, "The Polar Express", arXiv:2505.16932).
POLYNOMIALS = (
    (8.298703491437525, -24.430498148217673, 18.090304193078698),
    (3.812250796365532, -2.6839503089537136, 0.4844800514189352),
    (3.1303448073782545, -2.222948695969293, 0.43755079961341553),
    (2.1875875040817854, -1.5064396675097413, 0.3687903247526753),
)
MARGIN = 1.01  # of the bound, for the same reason
LEAST_BOUND = 1e-3  # of zeros; of other matrices it is M^(-3/8) or more


class Maps(NamedTuple):
    """Matrices (M, N), `number` of them one above the other, each of which is made orthogonal by itself."""

    onto: Tensor  # (number * M, N)
    of: Tensor  # the same, and of the same dtype
    number: int
    factor: float


def add_orthogonal(every: Sequence[Maps], *, rounded: bool = False) -> None:
    """Each map of `onto` += factor * `orthogonal` of that of `of`, in place and without derivatives."""
    own = [maps for maps in every if core.serves(maps.onto, maps.of, maps.number)]
    for dtype in dict.fromkeys(maps.onto.dtype for maps in own):
        core.add_orthogonal([maps for maps in own if maps.onto.dtype == dtype], POLYNOMIALS, MARGIN, rounded=rounded)
    reference([maps for maps in every if not core.serves(maps.onto, maps.of, maps.number)], rounded=rounded)


def reference(every: Sequence[Maps], *, rounded: bool = False) -> None:
    """`add_orthogonal` in plain torch; maps of one shape are made orthogonal together."""
    alike: dict[tuple[object, ...], list[tuple[Tensor, Tensor, float]]] = defaultdict(list)
    for maps in every:
        for onto, of in zip(maps.onto.chunk(maps.number), maps.of.chunk(maps.number), strict=True):
            alike[onto.shape, onto.dtype, onto.device].append((onto, of, maps.factor))
    for group in alike.values():
        made = orthogonal(torch.stack([of for _, of, _ in group]), rounded=rounded)
        for (onto, _, factor), step in zip(group, made, strict=True):
            onto.add_(step, alpha=factor)


def orthogonal(x: Tensor, *, rounded: bool = False) -> Tensor:
    """About U V^T, where x = U S V^T: the nearest orthogonal matrix, by matmuls alone, `rounded` to bfloat16 each.

    x (..., M, N), as is the result, in the dtype of x. The largest singular value is at most the eighth root of the sum
    of the eighth powers of all, tr (x x^T)^4, which is what the first polynomial begins with.

    >>> orthogonal(torch.diag(torch.tensor([3.0, -1.0, 0.1]))).round().diag().tolist()
    [1.0, -1.0, 1.0]
    """
    tall, dtype = x.shape[-2] > x.shape[-1], x.dtype
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-20)
    shape, x = x.shape, (x.bfloat16() if rounded else x).reshape(-1, *x.shape[-2:])
    bound: Tensor | None = None
    for a, b, c in POLYNOMIALS:
        square = x @ x.mT
        if bound is None:
            fourth = square @ square
            bound = fourth.to(dtype).norm(dim=(-2, -1), keepdim=True).sqrt().sqrt().clamp(min=LEAST_BOUND) * MARGIN
            x, square = (x / bound).to(x.dtype), (square / bound**2).to(x.dtype)
        # a x + (b square + c square square) x, the sums by the products themselves
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    x = x.view(shape)
    return (x.mT if tall else x).to(dtype)
