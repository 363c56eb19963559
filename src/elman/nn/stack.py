"""Layers on top of each other, in one or both directions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from elman.kernels import CellState, Kernel, Noise, Weights


def read_stack(
    kernel: Kernel,
    x: Tensor,
    state: Sequence[CellState],
    layers: Sequence[Sequence[Weights]],
    noise: Sequence[Sequence[Noise]],
    *,
    dropout: float = 0.0,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    every_state: bool = False,
) -> tuple[Tensor, list[CellState], list[CellState]]:
    """Read x (T, B, D) from every cell's `state` with `layers[layer][direction]` and the noise drawn for it.

    Each layer reads the outputs of the one below, both directions side by side, after dropout with that
    probability. `lengths` (B,) and `resets` (T, B) are the kernel's.

    Returns the outputs (T, B, P or 2 P) of the last layer, every cell's final state, and, if `every_state` is wanted,
    all that it went through, (T, B, ·) each. A layer of two directions has two cells.
    """
    finals: list[CellState] = []
    visited: list[CellState] = []  # only if wanted: what a kernel passed through is large
    for depth, directions in enumerate(layers):
        if depth > 0:
            x = F.dropout(x, dropout)
        outputs: list[Tensor] = []
        for direction, (weights, drawn) in enumerate(zip(directions, noise[depth], strict=True)):
            before = state[len(finals)]
            h, c, final = kernel(
                x, before, weights, reverse=direction == 1, lengths=lengths, resets=resets, noise=drawn
            )
            outputs.append(h)
            finals.append(final)
            if every_state:
                visited.append((h,) if c is None else (h, c))
        x = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
    return x, finals, visited
