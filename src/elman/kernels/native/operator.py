"""The native recurrences as operators of torch, for whoever traces: `torch.compile` and `torch.export`.

One operator reads a whole window, so a graph has one node for it whatever T is, and T and B may be dynamic. Called
directly, a kernel goes the shorter way of `bptt.py`; both do the same sums.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from elman.kernels.native import bptt
from elman.kernels.native.options import arrange
from elman.kernels.seam import GATES, Cell


@torch.library.custom_op("elman::read", mutates_args=(), device_types="cpu")
def read(
    x: Tensor,
    h_first: Tensor,
    c_first: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    cell: str,
    reverse: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """h, c, the final h and c, and, to `keep` for backward, gates and hidden; what there is not is empty."""
    given = arrange(cast(Cell, cell), reverse, lengths, resets, len(x))
    with torch.autocast("cpu", enabled=False):  # what was recorded is in the right dtypes already
        h, c, h_final, c_final, gates, hidden = bptt.forward(
            given, x, h_first, c_first, w_ih, w_hh, b_ih, b_hh, keep=keep
        )
    none = x.new_empty(0)
    kept = (gates, hidden) if keep else (None, None)
    if GATES[given.cell] == 1:
        kept = (None, None)  # they are h
    found = (h, c, h_final, c_final, *kept)
    return cast(Any, tuple(none.clone() if part is None else part for part in found))


@read.register_fake
def _read_shapes(
    x: Tensor,
    h_first: Tensor,
    c_first: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    cell: str,
    reverse: bool,
    keep: bool,
) -> tuple[Tensor, ...]:
    (T, B, _), (GH, H) = x.shape, w_hh.shape
    none, G = x.new_empty(0), GATES[cast(Cell, cell)]
    return (
        x.new_empty(T, B, H),
        x.new_empty(0) if c_first is None else c_first.new_empty(T, B, H),
        h_first.new_empty(B, H),
        x.new_empty(0) if c_first is None else c_first.new_empty(B, H),
        x.new_empty(T * B, GH) if keep and G > 1 else none,
        x.new_empty(T, B, H) if keep and cell == "gru" else none.clone(),
    )


@torch.library.custom_op("elman::read_backward", mutates_args=(), device_types="cpu")
def read_backward(
    x: Tensor,
    h_first: Tensor,
    c_first: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    lengths: Tensor | None,
    resets: Tensor | None,
    h: Tensor,
    c: Tensor,
    gates: Tensor,
    hidden: Tensor,
    dh: Tensor | None,
    dc: Tensor | None,
    dh_final: Tensor | None,
    dc_final: Tensor | None,
    cell: str,
    reverse: bool,
    biases: bool,
) -> list[Tensor]:
    """The derivatives by x, h_first, c_first (LSTM), w_ih, w_hh and the biases, if there are any."""
    given = arrange(cast(Cell, cell), reverse, lengths, resets, len(x))
    lstm, gru, elman = cell == "lstm", cell == "gru", GATES[given.cell] == 1
    wanted = (True, True, lstm, True, True, biases, biases)
    saved = (x, h_first, c_first, w_ih, w_hh, None, None, h, c if lstm else None)
    kept = (None if elman else gates, hidden if gru else None)
    gradients = (dh, dc, dh_final, dc_final) if lstm else (dh, None, dh_final, None)
    with torch.autocast("cpu", enabled=False):
        return [part for part in bptt.backward(given, wanted, (*saved, *kept), gradients) if part is not None]


@read_backward.register_fake
def _read_backward_shapes(
    x: Tensor,
    h_first: Tensor,
    c_first: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    lengths: Tensor | None,
    resets: Tensor | None,
    h: Tensor,
    c: Tensor,
    gates: Tensor,
    hidden: Tensor,
    dh: Tensor | None,
    dc: Tensor | None,
    dh_final: Tensor | None,
    dc_final: Tensor | None,
    cell: str,
    reverse: bool,
    biases: bool,
) -> list[Tensor]:
    GH, number = w_hh.shape[0], h_first.dtype
    like = [x, h_first, *([] if c_first is None else [c_first]), w_ih, w_hh]
    bias = [w_hh.new_empty(GH, dtype=number)] * 2 if biases else []
    return [torch.empty_like(part, memory_format=torch.contiguous_format) for part in like] + [
        part.clone() for part in bias
    ]


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.cell, ctx.reverse, ctx.kept = inputs
    x, h_first, c_first, w_ih, w_hh, b_ih, _, lengths, resets = tensors
    h, c, _, _, gates, hidden = output
    ctx.has_c, ctx.biases = c_first is not None, b_ih is not None
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, h_first, c_first, w_ih, w_hh, lengths, resets, h, c, gates, hidden)


def _derive(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    if not ctx.kept:
        raise RuntimeError("a native recurrence that was traced without gradients has none: trace it with them")
    found = iter(read_backward(*ctx.saved_tensors, *gradients[:4], ctx.cell, ctx.reverse, ctx.biases))
    dx, dh_first = next(found), next(found)
    dc_first = next(found) if ctx.has_c else None
    dw_ih, dw_hh = next(found), next(found)
    db_ih, db_hh = (next(found), next(found)) if ctx.biases else (None, None)
    return dx, dh_first, dc_first, dw_ih, dw_hh, db_ih, db_hh, None, None, None, None, None


read.register_autograd(_derive, setup_context=_keep_for_backward)
