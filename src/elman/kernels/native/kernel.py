"""The kernel that the seam knows: what is given is checked and brought to one dtype, then read."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from elman.cells import CellState, Weights
from elman.kernels.native import bptt, operator
from elman.kernels.native.options import GATES, arrange
from elman.kernels.native.surroundings import is_traced
from elman.kernels.seam import QUIET, Noise, Trajectory, variations


def read(
    cell: str,
    x: Tensor,
    state: CellState,
    weights: Weights,
    *,
    reverse: bool = False,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    noise: Noise = QUIET,
) -> Trajectory:
    """Read a window; with `cell` bound, this is a `Kernel` (see there).

    Raises:
        ValueError: shapes or dtypes do not fit each other. The core is handed addresses: it could not tell.
    """
    mixed = torch.is_autocast_enabled("cpu") and x.dtype != torch.float64  # which autocast leaves alone
    _check(cell, x, state, weights, lengths, resets, any_dtype=mixed)
    varied = variations(weights, noise)
    if varied:
        _check_varied(cell, x, weights, noise, any_dtype=mixed)
    asked = state
    low = mixed or x.dtype == torch.bfloat16
    if low:
        x, state, weights = _lowered(x, state, weights)
        noise = Noise(*(None if part is None else part.float() for part in noise))
    own = weights[4:] if varied else ()
    inputs: tuple[Any, ...] = (x, state[0], state[1] if cell == "lstm" else None, *weights[:4], *own)
    keep = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in inputs)
    if is_traced(x):
        others = own or (None,) * 6
        h, c, *final = operator.read(*inputs[:7], *others, lengths, resets, *noise, cell, reverse, keep)[:4]
    else:
        options = arrange(cell, reverse, lengths, resets, len(x), noise)
        if keep:
            h, c, *final = bptt.Recurrence.apply(options, *inputs)
        else:
            h, c, *final = bptt.forward(options, *inputs, keep=False)[:4]
    if cell != "lstm":
        c, final = None, final[:1]
    if low:
        c = None if c is None else c.to(asked[1].dtype)
        final = [part.to(before.dtype) for part, before in zip(final, asked, strict=True)]
    return Trajectory(h, () if c is None else (c,), tuple(final))


def _lowered(x: Tensor, state: CellState, weights: Weights) -> tuple[Tensor, CellState, Weights]:
    """What is large in bfloat16, the rest in float32: the core rounds the weights where it reads them."""
    in_full = (None if part is None else part.float() for part in weights)
    return x.bfloat16(), tuple(part.float() for part in state), Weights(*in_full)  # type: ignore[arg-type]


def _check(
    cell: str,
    x: Tensor,
    state: CellState,
    weights: Weights,
    lengths: Tensor | None,
    resets: Tensor | None,
    *,
    any_dtype: bool,
) -> None:
    (T, B, D), (H, P) = x.shape, _sizes(weights)
    G = GATES[cell] * H
    expected: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        *((f"initial {name}", part, (B, size)) for name, part, size in zip("hc", state, (P, H), strict=False)),
        ("weight_ih", weights.weight_ih, (G, D)),
        ("weight_hh", weights.weight_hh, (G, P)),
        ("bias_ih", weights.bias_ih, (G,)),
        ("bias_hh", weights.bias_hh, (G,)),
    ]
    _check_alike(x, expected, any_dtype=any_dtype)
    for name, mask, shape in (("lengths", lengths, (B,)), ("resets", resets, (T, B))):
        if mask is not None and (mask.shape != shape or mask.device != x.device):
            raise ValueError(f"{name}: expected {shape} on {x.device}, got {tuple(mask.shape)} on {mask.device}")


def _sizes(weights: Weights) -> tuple[int, int]:
    """H and P."""
    if weights.weight_hr is None:
        P = cast(Tensor, weights.weight_hh).shape[1]
        return P, P
    P, H = weights.weight_hr.shape
    return H, P


def _check_varied(cell: str, x: Tensor, weights: Weights, noise: Noise, *, any_dtype: bool) -> None:
    (T, B, _), (H, P) = x.shape, _sizes(weights)
    G = GATES[cell] * H
    expected: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        ("weight_hr", weights.weight_hr, (P, H)),
        ("weight_peephole", weights.weight_peephole, (3 * H,)),
        ("gain_ih", weights.gain_ih, (G,)),
        ("gain_hh", weights.gain_hh, (G,)),
        ("gain_cell", weights.gain_cell, (H,)),
        ("bias_cell", weights.bias_cell, (H,)),
        ("noise.recurrent", noise.recurrent, (B, P)),
        ("noise.zoneout", noise.zoneout, (T, B, P)),
        ("noise.zoneout_cell", noise.zoneout_cell, (T, B, H)),
    ]
    _check_alike(x, expected, any_dtype=any_dtype)
    if (weights.gain_ih is None) != (weights.gain_hh is None):
        raise ValueError("gain_ih and gain_hh: expected both or neither")
    of_the_lstm = ("weight_hr", "weight_peephole", "gain_cell", "bias_cell", "noise.zoneout_cell")
    for name, part, _ in expected:
        if name in of_the_lstm and part is not None and cell != "lstm":
            raise ValueError(f"{name}: expected for the LSTM alone, got one for {cell}")


def _check_alike(x: Tensor, expected: list[tuple[str, Tensor | None, tuple[int, ...]]], *, any_dtype: bool) -> None:
    for name, part, shape in expected:
        if part is None:
            continue
        if part.shape != shape or part.device != x.device or not (any_dtype or part.dtype == x.dtype):
            got = f"{part.dtype} {tuple(part.shape)} on {part.device}"
            raise ValueError(f"{name}: expected {x.dtype} {shape} on {x.device}, got {got}")
