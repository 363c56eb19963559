"""A layer's single step without gradients, where the call is as plain as a server's: no lengths, resets or noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from elman.cells import CellState
from elman.kernels.native.options import NUMBERS
from elman.kernels.native.step import MOST_ROWS, is_plain_eager, step

if TYPE_CHECKING:
    from elman.nn.recurrent import Recurrent


def read_one_step(layer: Recurrent, x: Tensor, hx: CellState | None) -> tuple[Tensor, CellState, CellState] | None:
    """Outputs and final state of one step, or None where the call is not that plain: then the long way serves it.

    x (1, B, D), with `batch_first` (B, 1, D). What is wrong with a call is found out there too.

    Under autocast to bfloat16 only the output is rounded: here every weight is read once, so that rounding it would
    save nothing.
    """
    if not is_plain_eager(x) or x.dim() != 3 or not _is_plain(layer):
        return None
    lowered = torch.is_autocast_enabled("cpu") and x.dtype != torch.float64  # which autocast leaves alone
    if lowered:
        if torch.get_autocast_dtype("cpu") != torch.bfloat16:
            return None
        x = x.float()
    T, B = (x.shape[1], x.shape[0]) if layer.batch_first else (x.shape[0], x.shape[1])
    if T != 1 or not 0 < B <= MOST_ROWS or x.shape[2] != layer.input_size or not x.is_contiguous():
        return None
    H, n = layer.hidden_sizes[0], len(layer._state_sizes)
    parts = [torch.zeros((1, B, H), dtype=x.dtype)] * n if hx is None else list(hx)
    weights = [layer._parameters.get(name) for name in PLAIN]  # one that is parametrized is not there
    if not layer.bias:
        weights[2:] = []
    for part in parts:
        if part.shape != (1, B, H) or part.dtype != x.dtype or not part.is_cpu or not part.is_contiguous():
            return None
    for weight in weights:
        if weight is None or weight.dtype != x.dtype or not weight.is_cpu or not weight.is_contiguous():
            return None
    w_ih, w_hh, b_ih, b_hh = (*weights, None, None)[:4]
    c = parts[1] if n > 1 else None
    found = step(layer.cell, x, parts[0], c, cast(Tensor, w_ih), cast(Tensor, w_hh), b_ih, b_hh, x.shape[:2])
    if found is None:
        return None
    out, h, c = found
    if lowered:
        out = out.bfloat16()
    return out, (h,) if c is None else (h, c), ()


PLAIN = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def can_step(layer: Recurrent) -> bool:
    """Whether it is one layer in one direction, of a cell in the core, with no weights of its own."""
    plain = PLAIN if layer.bias else PLAIN[:2]
    return layer.cell in NUMBERS and layer._parameters.keys() == set(plain)


def _is_plain(layer: Recurrent) -> bool:
    """Whether nothing is drawn or kept at random, nor another backend asked for."""
    if not layer._can_step or layer.zoneout or layer.zoneout_cell:  # which move the state in evaluation too
        return False
    noisy = layer.training and (layer.weight_dropout or layer.recurrent_dropout)
    return not noisy and layer.backend in (None, "native")
