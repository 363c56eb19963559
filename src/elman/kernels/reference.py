"""The recurrences as a textbook writes them. Every other backend is held equal to this one.

It supports everything: lengths, resets, every state, any floating dtype and device, derivatives of any order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from elman.kernels.masks import blank_padding, clears, real_steps
from elman.kernels.seam import Call, Cell, CellState, Kernel, Trajectory, Weights
from elman.state import reset_rows

Step: TypeAlias = Callable[[Tensor, CellState, Weights], CellState]
"""One step of a cell: projected input W_ih x_t + b_ih (B, G * H) and the state before -> the state after."""


def elman_step(projected: Tensor, state: CellState, weights: Weights, *, nonlinearity: Callable) -> CellState:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu (Elman 1990, *Finding structure in time*)."""
    (h,) = state
    return (nonlinearity(projected + F.linear(h, weights.weight_hh, weights.bias_hh)),)


def gru_step(projected: Tensor, state: CellState, weights: Weights) -> CellState:
    """r, z, n; the reset gate acts after the matmul, as in cuDNN (Cho et al. 2014, arXiv:1406.1078)."""
    (h,) = state
    r_x, z_x, n_x = projected.chunk(3, -1)
    r_h, z_h, n_h = F.linear(h, weights.weight_hh, weights.bias_hh).chunk(3, -1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (n + z * (h - n),)


def lstm_step(projected: Tensor, state: CellState, weights: Weights) -> CellState:
    """i, f, g, o (Hochreiter & Schmidhuber 1997; f: Gers et al. 2000; projection: Sak et al. 2014)."""
    h, c = state
    i, f, g, o = (projected + F.linear(h, weights.weight_hh, weights.bias_hh)).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    if weights.weight_hr is not None:
        h = F.linear(h, weights.weight_hr)  # (B, P)
    return h, c


def unroll(
    step: Step,
    x: Tensor,
    state: CellState,
    weights: Weights,
    *,
    reverse: bool = False,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
) -> Trajectory:
    """Take one step after the other; with `step` bound, this is a `Kernel` (see there)."""
    T = len(x)
    real = None if lengths is None else real_steps(lengths, T)  # (T, B)
    cleared = None if resets is None else clears(resets, real, reverse)  # (T, B)
    if real is not None:
        x = blank_padding(x, real)
    projected = F.linear(x, weights.weight_ih, weights.bias_ih).unbind()  # T of (B, G * H)

    visited: list[CellState] = [()] * T
    for t in reversed(range(T)) if reverse else range(T):
        if cleared is not None:
            state = _reset(state, cleared[t])
        after = step(projected[t], state, weights)
        if real is None:
            visited[t] = state = after
        else:
            visited[t] = _reset(after, ~real[t])
            state = tuple(torch.where(real[t, :, None], new, old) for new, old in zip(after, state, strict=True))

    h, c = _stack(visited, like=state)
    if T == 0:  # what was given is the caller's own
        state = tuple(part.clone() for part in state)
    return Trajectory(h, c, state)


def _reset(state: CellState, rows: Tensor) -> CellState:
    return cast(CellState, reset_rows(state, rows))


def _stack(visited: list[CellState], like: CellState) -> tuple[Tensor, Tensor | None]:
    if visited:
        h, *c = (torch.stack(part) for part in zip(*visited, strict=True))
    else:
        h, *c = (part.new_empty((0, *part.shape)) for part in like)  # (0, B, ·)
    return h, c[0] if c else None


def why_not(call: Call) -> str | None:
    """Nothing is beyond the reference."""
    return None


KERNELS: dict[Cell, Kernel] = {
    "elman_tanh": partial(unroll, partial(elman_step, nonlinearity=torch.tanh)),
    "elman_relu": partial(unroll, partial(elman_step, nonlinearity=torch.relu)),
    "gru": partial(unroll, gru_step),
    "lstm": partial(unroll, lstm_step),
}
