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
    """The arguments of `attend`."""

    queries: Tensor  # (B, T, N, D), perhaps a slice of a larger tensor
    keys: Tensor  # (B, S, G, D), N a multiple of G; S = T where there is a memory
    values: Tensor  # (B, S, G, D)
    memory: Memory | None  # None: there is none, and none is kept
    sight: Sight  # which keys each query sees
    rotation: Rotation | None = None  # of the new steps
    gains: Gains = (None, None)
    eps: float = 1e-5  # of the norms
    kept: Tensor | None = None  # (B, N, T, C + S), dropout: what each weight is multiplied by, slots of memory first
    # The memory after the call may lie in the tensors of the memory before, whose holder has no more use for what these
    # held. Without gradients.
    in_place: bool = False
    # (B, T, N + 2G, D), of which queries, keys and values are slices in this order, so that their derivatives are one.
    together: Tensor | None = None


class Attended(NamedTuple):
    """The outputs of a call, and the memory after it."""

    y: Tensor  # (B, T, N, D)
    memory: Memory | None  # None where the call had none
