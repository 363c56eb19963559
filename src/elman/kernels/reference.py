"""The recurrences as a textbook writes them. Tests hold every other backend equal to this one.

The readable loop supports lengths, resets, every state, any floating dtype and device, derivatives of any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from elman.cells import CellState, CellStep, Hold, Weights, cell_named, normalize
from elman.kernels.seam import QUIET, Call, Kernel, Noise, Trajectory, blank_padding, masks
from elman.state import reset_rows


def recur(h: Tensor, weights: Weights, noise: Noise = QUIET) -> Tensor | None:
    """W_hh h + b_hh (B, G * H), after recurrent dropout of h (Gal & Ghahramani 2016); None where there is no W_hh."""
    if weights.weight_hh is None:
        return None
    if noise.recurrent is not None:
        h = noise.recurrent * h
    if weights.gain_hh is None:
        return F.linear(h, weights.weight_hh, weights.bias_hh)
    return normalize(F.linear(h, weights.weight_hh), weights.gain_hh, weights.bias_hh)


def project(x: Tensor, weights: Weights) -> Tensor:
    """W_ih x + b_ih (T, B, G * H), with layer normalization of W_ih x where the weights have gains."""
    if weights.gain_ih is None:
        return F.linear(x, weights.weight_ih, weights.bias_ih)
    return normalize(F.linear(x, weights.weight_ih), weights.gain_ih, weights.bias_ih)


def zone(after: CellState, before: CellState, noise: Noise) -> CellState:
    """A mixture of the states before and after a step, in zoneout's shares (Krueger et al. 2017, arXiv:1606.01305)."""
    if noise.zoneout is None and noise.zoneout_cell is None:
        return after
    return tuple(
        new if share is None else share * old + (1 - share) * new
        for new, old, share in zip(after, before, (*noise[1:], *[None] * len(after)), strict=False)
    )


def unroll(
    step: CellStep,
    x: Tensor,
    state: CellState,
    weights: Weights,
    *,
    reverse: bool = False,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    noise: Noise = QUIET,
    hold: tuple[Hold, Sequence[str]] | None = None,
) -> Trajectory:
    """Take one step after the other; with `step` bound, this is a `Kernel` (see there).

    `hold` is what the microscope holds, and the names of the states, which are held against zoneout too.
    """
    if hold is not None:
        step = partial(step, hold=hold[0])
    T = len(x)
    real, cleared = masks(lengths, resets, T, reverse)
    if real is not None:
        x = blank_padding(x, real)
        noise = Noise(noise.recurrent, *(share if share is None else blank_padding(share, real) for share in noise[1:]))
    projected = project(x, weights).unbind()  # T of (B, G * H)

    visited: list[CellState] = [()] * T
    for t in reversed(range(T)) if reverse else range(T):
        if cleared is not None:
            state = cast(CellState, reset_rows(state, cleared[t]))
        now = Noise(noise.recurrent, *(None if share is None else share[t] for share in noise[1:]))
        after, _ = step(projected[t], recur(state[0], weights, now), state, weights)
        after = zone(after, state, now)
        if hold is not None:
            after = tuple(map(hold[0], hold[1], after))
        if real is None:
            visited[t] = state = after
        else:
            visited[t] = cast(CellState, reset_rows(after, ~real[t]))
            state = tuple(torch.where(real[t, :, None], new, old) for new, old in zip(after, state, strict=True))

    if T == 0:  # no state of the caller's is returned
        state = tuple(part.clone() for part in state)
        h, *others = (part.new_empty((0, *part.shape)) for part in state)
    else:
        h, *others = (torch.stack(parts) for parts in zip(*visited, strict=True))
    return Trajectory(h, tuple(others), state)


def why_not(call: Call) -> str | None:
    """Nothing is beyond the reference."""
    return None


def kernel_of(cell: str, hold: Hold | None = None) -> Kernel:
    """The kernel of any cell, whose gates and states pass `hold` after every step."""
    own = cell_named(cell)
    if hold is None:
        return partial(unroll, own.step)
    return partial(unroll, own.step, hold=(hold, [state.name for state in own.states]))
