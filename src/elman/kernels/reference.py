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
from elman.kernels.seam import (
    LAYER_NORM_EPSILON,
    QUIET,
    Call,
    Cell,
    CellState,
    Kernel,
    Noise,
    Trajectory,
    Weights,
)
from elman.state import reset_rows

Step: TypeAlias = Callable[[Tensor, CellState, Weights, Noise], CellState]
"""One step of a cell: projected input W_ih x_t + b_ih (B, G * H), the state before, and the noise of this step."""


def elman_step(
    projected: Tensor, state: CellState, weights: Weights, noise: Noise, *, nonlinearity: Callable
) -> CellState:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu (Elman 1990, *Finding structure in time*)."""
    (h,) = state
    return (zone(nonlinearity(projected + recur(h, weights, noise)), h, noise.zoneout),)


def gru_step(projected: Tensor, state: CellState, weights: Weights, noise: Noise) -> CellState:
    """r, z, n; the reset gate acts after the matmul, as in cuDNN (Cho et al. 2014, arXiv:1406.1078)."""
    (h,) = state
    r_x, z_x, n_x = projected.chunk(3, -1)
    r_h, z_h, n_h = recur(h, weights, noise).chunk(3, -1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (zone(n + z * (h - n), h, noise.zoneout),)


def lstm_step(projected: Tensor, state: CellState, weights: Weights, noise: Noise) -> CellState:
    """i, f, g, o (Hochreiter & Schmidhuber 1997; f: Gers et al. 2000; projection: Sak et al. 2014).

    With peepholes (Gers & Schmidhuber 2000, Graves 2013) i and f read c, and o reads c'. With layer
    normalization (Ba et al. 2016, arXiv:1607.06450) h' comes of the normalized c'. What zoneout keeps of the
    old c (Krueger et al. 2017, arXiv:1606.01305) reaches h' and o in the next step.
    """
    h, c = state
    i, f, g, o = (projected + recur(h, weights, noise)).chunk(4, -1)
    if weights.weight_peephole is not None:
        p_i, p_f, p_o = weights.weight_peephole.chunk(3)
        i, f = i + p_i * c, f + p_f * c
    new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    if weights.weight_peephole is not None:
        o = o + p_o * new
    seen = new
    if weights.gain_cell is not None:
        seen = normalize(new, weights.gain_cell, weights.bias_cell)
    out = torch.sigmoid(o) * torch.tanh(seen)
    if weights.weight_hr is not None:
        out = F.linear(out, weights.weight_hr)  # (B, P)
    return zone(out, h, noise.zoneout), zone(new, c, noise.zoneout_cell)


def recur(h: Tensor, weights: Weights, noise: Noise) -> Tensor:
    """W_hh h + b_hh (B, G * H); h after recurrent dropout (Gal & Ghahramani 2016), W_hh h normalized if wanted."""
    if noise.recurrent is not None:
        h = noise.recurrent * h
    if weights.gain_hh is None:
        return F.linear(h, weights.weight_hh, weights.bias_hh)
    return normalize(F.linear(h, weights.weight_hh), weights.gain_hh, weights.bias_hh)


def project(x: Tensor, weights: Weights) -> Tensor:
    """W_ih x + b_ih (T, B, G * H); W_ih x normalized if wanted."""
    if weights.gain_ih is None:
        return F.linear(x, weights.weight_ih, weights.bias_ih)
    return normalize(F.linear(x, weights.weight_ih), weights.gain_ih, weights.bias_ih)


def normalize(sums: Tensor, gain: Tensor, bias: Tensor | None) -> Tensor:
    """Layer normalization of the last dimension: mean 0 and variance 1, times gain, plus bias."""
    return F.layer_norm(sums, gain.shape, gain, bias, LAYER_NORM_EPSILON)


def zone(new: Tensor, old: Tensor, share: Tensor | None) -> Tensor:
    """Of the old as much as zoneout keeps, the rest new."""
    return new if share is None else share * old + (1 - share) * new


def unroll(
    step: Step,
    x: Tensor,
    state: CellState,
    weights: Weights,
    *,
    reverse: bool = False,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    noise: Noise = QUIET,
) -> Trajectory:
    """Take one step after the other; with `step` bound, this is a `Kernel` (see there)."""
    T = len(x)
    real = None if lengths is None else real_steps(lengths, T)  # (T, B)
    cleared = None if resets is None else clears(resets, real, reverse)  # (T, B)
    if real is not None:
        x = blank_padding(x, real)
        noise = Noise(noise.recurrent, *(share if share is None else blank_padding(share, real) for share in noise[1:]))
    projected = project(x, weights).unbind()  # T of (B, G * H)

    visited: list[CellState] = [()] * T
    for t in reversed(range(T)) if reverse else range(T):
        if cleared is not None:
            state = _reset(state, cleared[t])
        after = step(projected[t], state, weights, _at(noise, t))
        if real is None:
            visited[t] = state = after
        else:
            visited[t] = _reset(after, ~real[t])
            state = tuple(torch.where(real[t, :, None], new, old) for new, old in zip(after, state, strict=True))

    h, c = _stack(visited, like=state)
    if T == 0:  # what was given is the caller's own
        state = tuple(part.clone() for part in state)
    return Trajectory(h, c, state)


def _at(noise: Noise, t: int) -> Noise:
    recurrent, *shares = noise
    return Noise(recurrent, *(None if share is None else share[t] for share in shares))


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
