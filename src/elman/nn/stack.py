"""Layers on top of each other, in one or both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from elman.kernels import CellState, Kernel, Noise, Weights


class Reading(NamedTuple):
    """What a stack of L layers makes of a window; a bidirectional layer counts as two in `L`.

    Where layers have sizes of their own, these are the tensors of one layer after the other, and L is that of each.
    """

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
    finals: list[CellState] = []
    visited: list[CellState] = []  # only if wanted: what a kernel passed through is large
    for depth, directions in enumerate(layers):
        if depth > 0:
            x = F.dropout(x, dropout)
        outputs: list[Tensor] = []
        for direction, (weights, drawn) in enumerate(zip(directions, noise[depth], strict=True)):
            before = tuple(part[len(finals)] for part in state)
            h, c, final = kernel(
                x, before, weights, reverse=direction == 1, lengths=lengths, resets=resets, noise=drawn
            )
            outputs.append(h)
            finals.append(final)
            if every_state:
                visited.append((h,) if c is None else (h, c))
        x = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
    # One layer's final state need not be copied; its states must, for they are also the outputs.
    final = tuple(part[None] for part in finals[0]) if len(finals) == 1 else _stacked(finals)
    return Reading(x, final, _stacked(visited))


def read_unequal_stack(
    kernel: Kernel,
    x: Tensor,
    state: CellState,
    layers: Sequence[Sequence[Weights]],
    noise: Sequence[Sequence[Noise]],
    *,
    dropout: float = 0.0,
    **options: Any,
) -> Reading:
    """The same where every layer has a size of its own: the states hold the parts of one layer after the other."""
    parts = len(state) // len(layers)
    final: CellState = ()
    states: CellState = ()
    for depth, directions in enumerate(layers):
        if depth > 0:
            x = F.dropout(x, dropout)
        before = state[depth * parts : (depth + 1) * parts]
        reading = read_stack(kernel, x, before, [directions], [noise[depth]], **options)
        x, final, states = reading.outputs, final + reading.final, states + reading.states
    return Reading(x, final, states)


def _stacked(states: list[CellState]) -> CellState:
    return tuple(torch.stack(parts) for parts in zip(*states, strict=True))
