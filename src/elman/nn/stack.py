"""Layers on top of each other, in one or both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from elman.kernels import CellState, Kernel, Noise, Trajectory, Weights


class Reading(NamedTuple):
    """What a stack of L layers makes of a window; a bidirectional layer counts as two in `L`."""

    outputs: Tensor  # (T, B, P or 2 P), of the last layer
    final: CellState  # (L, B, ·) each
    states: CellState  # (L, T, B, ·) each; empty where they were not wanted


def read_stack(
    kernel: Kernel,
    x: Tensor,
    state: CellState,
    layers: Sequence[Sequence[Weights]],
    noise: Sequence[Sequence[Noise]],
    *,
    dropout: float = 0.0,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    every_state: bool = False,
) -> Reading:
    """Read x (T, B, D) from `state` (L, B, ·) with `layers[layer][direction]` and the noise drawn for it.

    Each layer reads the outputs of the one below, both directions side by side, after dropout with that
    probability. `lengths` (B,) and `resets` (T, B) are the kernel's.
    """
    trajectories: list[Trajectory] = []
    for depth, directions in enumerate(layers):
        if depth > 0:
            x = F.dropout(x, dropout)
        for direction, (weights, drawn) in enumerate(zip(directions, noise[depth], strict=True)):
            before = tuple(part[len(trajectories)] for part in state)
            trajectories.append(
                kernel(x, before, weights, reverse=direction == 1, lengths=lengths, resets=resets, noise=drawn)
            )
        read = [trajectory.h for trajectory in trajectories[-len(directions) :]]
        x = torch.cat(read, -1) if len(read) > 1 else read[0]

    # One part alone need not be copied.
    parts = zip(*(t.final for t in trajectories), strict=True)
    final = tuple(torch.stack(part) if len(part) > 1 else part[0][None] for part in parts)
    states: CellState = ()
    if every_state:
        states = (torch.stack([t.h for t in trajectories]),)
        if len(state) == 2:
            states += (torch.stack([t.c for t in trajectories if t.c is not None]),)
    return Reading(x, final, states)
