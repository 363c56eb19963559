"""The seam between attention and the machine: the arguments of a call, and its results, for every backend."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from elman.kernels.attention.sight import Sight

Memory = tuple[Tensor, Tensor]
"""Keys and values of earlier steps, (B, G, C, D) each, after norm and rotation; `sight` says what a slot holds."""
Rotation = tuple[Tensor, Tensor]
"""Cosines and sines of the angles of each new step, (B or 1, T, D/2) each."""
Gains = tuple[Tensor | None, Tensor | None]
"""Gains (D,) of the layer norms of queries and of keys; None: there is no such norm."""


class AttentionCall(NamedTuple):
    """The arguments of `attend`, which explains them."""

    queries: Tensor  # (B, T, N, D)
    keys: Tensor  # (B, S, G, D)
    values: Tensor  # (B, S, G, D)
    memory: Memory | None
    sight: Sight
    rotation: Rotation | None = None
    gains: Gains = (None, None)
    eps: float = 1e-5
    kept: Tensor | None = None  # (B, N, T, C + S)
    in_place: bool = False


class Attended(NamedTuple):
    """The outputs of a call, and the memory after it."""

    y: Tensor  # (B, T, N, D)
    memory: Memory | None  # None where the call had none
