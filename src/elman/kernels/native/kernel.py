"""The kernel that the seam knows: shapes are checked, everything is brought to one dtype, and the core reads."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from elman.cells import CellState, Weights
from elman.kernels.native import bptt, operator
from elman.kernels.native.library import is_traced
from elman.kernels.native.options import GATE_BLOCKS, IN_CORE, arrange
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
    every_state: bool = True,
) -> Trajectory:
    """Read a window; with `cell` bound, this is a `Kernel` (see there). `others` may be None without `every_state`.

    Raises:
        ValueError: shapes or dtypes do not fit each other. The core is handed addresses and could not tell.
    """
    mixed = torch.is_autocast_enabled("cpu") and x.dtype != torch.float64  # autocast leaves float64 alone
    varied, n = variations(weights, noise), len(IN_CORE[cell].states)
    _check(cell, x, state, weights, lengths, resets, noise if varied else None, any_dtype=mixed)
    given = state
    low = mixed or x.dtype == torch.bfloat16
    if low:  # x in bfloat16, all else in float32: the core rounds the weights where it reads them
        x, state = x.bfloat16(), tuple(part.float() for part in state)
        weights = Weights(*cast(Any, (None if part is None else part.float() for part in weights)))
        noise = Noise(*(None if part is None else part.float() for part in noise))
    own = weights[4:] if varied else ()
    inputs: tuple[Any, ...] = (x, state[0], state[1] if n > 1 else None, *weights[:4], *own)
    keep = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in inputs)
    if is_traced(x):
        absent = () if own else (None,) * 6
        h, c, *final = operator.read(*inputs, *absent, lengths, resets, *noise, cell, reverse, keep)[:4]
    else:
        options = arrange(cell, reverse, lengths, resets, len(x), noise)
        if keep:
            h, c, *final = bptt.Recurrence.apply(options, *inputs)
        else:
            h, c, *final = bptt.forward(options, *inputs, keep=False, every_state=every_state)[:4]
    others, final = None if n > 1 and c is None else (c,)[: n - 1], final[:n]
    if low:
        if others is not None:
            others = tuple(part.to(before.dtype) for part, before in zip(others, given[1:], strict=True))
        final = [part.to(before.dtype) for part, before in zip(final, given, strict=True)]
    return Trajectory(h, others, tuple(final))


def _check(
    cell: str,
    x: Tensor,
    state: CellState,
    weights: Weights,
    lengths: Tensor | None,
    resets: Tensor | None,
    noise: Noise | None,
    *,
    any_dtype: bool,
) -> None:
    """Check the inputs of a plain cell, and all others unless `noise` is None."""
    (T, B, D), P = x.shape, cast(Tensor, weights.weight_hh).shape[1]
    H = P
    if weights.weight_hr is not None:
        P, H = weights.weight_hr.shape
    G = GATE_BLOCKS[cell] * H
    expected: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        *((f"initial {name}", part, (B, size)) for name, part, size in zip("hc", state, (P, H), strict=False)),
        ("weight_ih", weights.weight_ih, (G, D)),
        ("weight_hh", weights.weight_hh, (G, P)),
        ("bias_ih", weights.bias_ih, (G,)),
        ("bias_hh", weights.bias_hh, (G,)),
    ]
    of_the_lstm: list[tuple[str, Tensor | None, tuple[int, ...]]] = []
    if noise is not None:
        of_the_lstm = [
            ("weight_hr", weights.weight_hr, (P, H)),
            ("weight_peephole", weights.weight_peephole, (3 * H,)),
            ("gain_cell", weights.gain_cell, (H,)),
            ("bias_cell", weights.bias_cell, (H,)),
            ("noise.zoneout_cell", noise.zoneout_cell, (T, B, H)),
        ]
        expected += [
            *of_the_lstm,
            ("gain_ih", weights.gain_ih, (G,)),
            ("gain_hh", weights.gain_hh, (G,)),
            ("noise.recurrent", noise.recurrent, (B, P)),
            ("noise.zoneout", noise.zoneout, (T, B, P)),
        ]
    for name, part, shape in expected:
        if part is None:
            continue
        if part.shape != shape or part.device != x.device or not (any_dtype or part.dtype == x.dtype):
            got = f"{part.dtype} {tuple(part.shape)} on {part.device}"
            raise ValueError(f"{name}: expected {x.dtype} {shape} on {x.device}, got {got}")
    for name, mask, shape in (("lengths", lengths, (B,)), ("resets", resets, (T, B))):
        if mask is not None and (mask.shape != shape or mask.device != x.device):
            raise ValueError(f"{name}: expected {shape} on {x.device}, got {tuple(mask.shape)} on {mask.device}")
    if noise is not None and (weights.gain_ih is None) != (weights.gain_hh is None):
        raise ValueError("gain_ih and gain_hh: expected both or neither")
    for name, part, _ in of_the_lstm:
        if part is not None and len(IN_CORE[cell].states) == 1:
            raise ValueError(f"{name}: expected for the LSTM alone, got one for {cell}")
