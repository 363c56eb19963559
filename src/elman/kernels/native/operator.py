"""The native recurrences as operators of torch, for whoever traces: `torch.compile` and `torch.export`.

One operator reads a whole window, so a graph has one node for it whatever T is, and T and B may be dynamic. Called
directly, a kernel goes the shorter way of `bptt.py`; both do the same sums. What an operator gives cannot be None: it
is empty where there is nothing.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from elman.kernels.native import bptt
from elman.kernels.native.options import GATES, Options, arrange
from elman.kernels.seam import Noise


@torch.library.custom_op("elman::read", mutates_args=(), device_types="cpu")
def read(
    x: Tensor,
    h_first: Tensor,
    c_first: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    w_hr: Tensor | None,
    w_peephole: Tensor | None,
    gain_ih: Tensor | None,
    gain_hh: Tensor | None,
    gain_cell: Tensor | None,
    bias_cell: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    recurrent: Tensor | None,
    zoneout: Tensor | None,
    zoneout_cell: Tensor | None,
    cell: str,
    reverse: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """h, c, the final h and c, and, to `keep` for backward, gates, hidden and what layer normalization needs."""
    own = (w_hr, w_peephole, gain_ih, gain_hh, gain_cell, bias_cell)
    given = _options(cell, reverse, lengths, resets, len(x), recurrent, zoneout, zoneout_cell)
    with torch.autocast("cpu", enabled=False):  # what was recorded is in the right dtypes already
        h, c, h_final, c_final, gates, hidden, *normed = bptt.forward(
            given, x, h_first, c_first, w_ih, w_hh, b_ih, b_hh, *_if_varied(given, own), keep=keep
        )
    found = (h, c, h_final, c_final, gates if keep else None, hidden, *(normed or [None] * 4))
    return cast(Any, tuple(x.new_empty(0) if part is None else part for part in found))


def _options(
    cell: str, reverse: bool, lengths: Tensor | None, resets: Tensor | None, T: int, *noise: Tensor | None
) -> Options:
    return arrange(cell, reverse, lengths, resets, T, Noise(*noise))


def _if_varied(options: Options, own: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """A plain cell is given none of them."""
    return own if any(part is not None for part in (*own, *options.noise)) else ()


@read.register_fake
def _read_shapes(
    x: Tensor, h_first: Tensor, c_first: Tensor | None, w_ih: Tensor, w_hh: Tensor, *others: Any
) -> tuple[Tensor, ...]:
    _, _, w_hr, _, _, gain_hh, *_, zoneout, _, cell, _, keep = others
    (T, B, _), (GH, P), G = x.shape, w_hh.shape, GATES[cell]
    H, lstm, normed = GH // G, c_first is not None, keep and gain_hh is not None

    def empty(like: Tensor, *shape: int, wanted: bool = True) -> Tensor:
        return like.new_empty(shape if wanted else 0)

    return (
        empty(x, T, B, P),
        empty(h_first if lstm else x, T, B, H, wanted=lstm),
        empty(h_first, B, P),
        empty(h_first if lstm else x, B, H, wanted=lstm),
        empty(x, T * B, GH, wanted=keep and (G > 1 or zoneout is not None)),
        empty(x, T, B, H, wanted=keep and (cell == "gru" or w_hr is not None)),
        *(empty(x, T * B, GH, wanted=normed) for _ in range(2)),
        *(empty(h_first if normed else x, T * B, wanted=normed) for _ in range(2)),
    )


@torch.library.custom_op("elman::read_backward", mutates_args=(), device_types="cpu")
def read_backward(
    x: Tensor,
    h_first: Tensor,
    c_first: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    w_hr: Tensor | None,
    w_peephole: Tensor | None,
    gain_ih: Tensor | None,
    gain_hh: Tensor | None,
    gain_cell: Tensor | None,
    bias_cell: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    recurrent: Tensor | None,
    zoneout: Tensor | None,
    zoneout_cell: Tensor | None,
    h: Tensor,
    c: Tensor,
    gates: Tensor,
    hidden: Tensor,
    normed_x: Tensor,
    normed: Tensor,
    scale_x: Tensor,
    scale: Tensor,
    dh: Tensor | None,
    dc: Tensor | None,
    dh_final: Tensor | None,
    dc_final: Tensor | None,
    cell: str,
    reverse: bool,
    biases: bool,
) -> list[Tensor]:
    """The derivatives by x, the initial state and the weights, as far as there are any, in the order of `read`."""
    given = _options(cell, reverse, lengths, resets, len(x), recurrent, zoneout, zoneout_cell)
    own = _if_varied(given, (w_hr, w_peephole, gain_ih, gain_hh, gain_cell, bias_cell))
    lstm = cell == "lstm"
    wanted = (True, True, lstm, True, True, biases, biases, *(part is not None for part in own))
    inputs = (x, h_first, c_first, w_ih, w_hh, None, None, *own)
    kept = (
        h,
        c if lstm else None,
        None if GATES[given.cell] == 1 and zoneout is None else gates,  # they are h
        hidden if cell == "gru" or w_hr is not None else None,
        *(() if gain_hh is None else (normed_x, normed, scale_x, scale)),
    )
    gradients = (dh, dc, dh_final, dc_final) if lstm else (dh, None, dh_final, None)
    with torch.autocast("cpu", enabled=False):
        return [part for part in bptt.backward(given, wanted, (*inputs, *kept), gradients) if part is not None]


@read_backward.register_fake
def _read_backward_shapes(
    x: Tensor, h_first: Tensor, c_first: Tensor | None, w_ih: Tensor, w_hh: Tensor, *others: Any
) -> list[Tensor]:
    own, biases = others[:6], others[-1]
    bias = [w_hh.new_empty(len(w_hh), dtype=h_first.dtype) for _ in range(2 if biases else 0)]
    like = [part for part in (x, h_first, c_first, w_ih, w_hh, *bias, *own) if part is not None]
    return [torch.empty_like(part, memory_format=torch.contiguous_format) for part in like]


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.cell, ctx.reverse, ctx.kept = inputs
    x, h_first, c_first, w_ih, w_hh, b_ih, _, *others = tensors  # our own weights, masks, noise
    h, c, _, _, *kept = output
    ctx.biases = b_ih is not None
    ctx.present = [part is not None for part in tensors[:13]]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, h_first, c_first, w_ih, w_hh, *others, h, c, *kept)


def _derive(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    if not ctx.kept:
        raise RuntimeError("a native recurrence that was traced without gradients has none: trace it with them")
    found = iter(read_backward(*ctx.saved_tensors, *gradients[:4], ctx.cell, ctx.reverse, ctx.biases))
    return *(next(found) if present else None for present in ctx.present), *[None] * 8


read.register_autograd(_derive, setup_context=_keep_for_backward)
