"""The native recurrences as operators of torch, for `torch.compile` and `torch.export`.

One operator reads a whole window, so a graph has one node for a window of any T, and T and B may be dynamic. A kernel
that is called directly takes the shorter way of `bptt.py`, which computes the same. An operator cannot return None:
empty tensors stand for absent ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from elman.kernels.native import bptt
from elman.kernels.native.options import GATE_BLOCKS, Options, arrange
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
    """h, c, the final h and c; with `keep`, for backward, gates, hidden and the tensors of `Varied.to_keep`."""
    own = (w_hr, w_peephole, gain_ih, gain_hh, gain_cell, bias_cell)
    given = arrange(cell, reverse, lengths, resets, len(x), Noise(recurrent, zoneout, zoneout_cell))
    with torch.autocast("cpu", enabled=False):  # the recorded tensors have the right dtypes already
        h, c, h_final, c_final, gates, hidden, *normed = bptt.forward(
            given, x, h_first, c_first, w_ih, w_hh, b_ih, b_hh, *_if_varied(given, own), keep=keep
        )
    found = (h, c, h_final, c_final, gates if keep else None, hidden, *(normed or [None] * 4))
    return cast(Any, tuple(x.new_empty(0) if part is None else part for part in found))


def _if_varied(options: Options, own: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """The `own` weights, or none for a plain cell."""
    return own if any(part is not None for part in (*own, *options.noise)) else ()


@read.register_fake
def _read_shapes(
    x: Tensor, h_first: Tensor, c_first: Tensor | None, w_ih: Tensor, w_hh: Tensor, *others: Any
) -> tuple[Tensor, ...]:
    _, _, w_hr, _, _, gain_hh, *_, zoneout, _, cell, _, keep = others
    (T, B, _), (GH, P), G = x.shape, w_hh.shape, GATE_BLOCKS[cell]
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
    saved: Sequence[Tensor | None], gradients: Sequence[Tensor | None], cell: str, reverse: bool, biases: bool
) -> list[Tensor]:
    """The derivatives by x, the initial state and the weights that are there, in the order of `read`.

    `saved` by `_keep_for_backward`; `gradients` by h, c and the final h and c.
    """
    *plain, recurrent, zoneout, zoneout_cell, h, c, gates, hidden = saved[:20]
    (*inputs, lengths, resets), normed = plain, saved[20:]
    options = arrange(cell, reverse, lengths, resets, len(cast(Tensor, h)), Noise(recurrent, zoneout, zoneout_cell))
    own = _if_varied(options, tuple(inputs[5:]))
    lstm = inputs[2] is not None
    kept = (
        h,
        c if lstm else None,
        None if GATE_BLOCKS[cell] == 1 and zoneout is None else gates,  # None: the one gate is h
        hidden if cell == "gru" or inputs[5] is not None else None,
        *(() if inputs[8] is None else normed),
    )
    wanted = (True, True, lstm, True, True, biases, biases, *(part is not None for part in own))
    given = (gradients[0], gradients[1] if lstm else None, gradients[2], gradients[3] if lstm else None)
    with torch.autocast("cpu", enabled=False):
        found = bptt.backward(options, wanted, (*inputs[:5], None, None, *own, *kept), given)
    return [part for part in found if part is not None]


@read_backward.register_fake
def _read_backward_shapes(
    saved: Sequence[Tensor | None], gradients: Sequence[Tensor | None], cell: str, reverse: bool, biases: bool
) -> list[Tensor]:
    h_first, w_hh = cast(Tensor, saved[1]), cast(Tensor, saved[4])
    bias = [w_hh.new_empty(len(w_hh), dtype=h_first.dtype) for _ in range(2 if biases else 0)]
    like = [part for part in (*saved[:5], *bias, *saved[5:11]) if part is not None]
    return [torch.empty_like(part, memory_format=torch.contiguous_format) for part in like]


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.cell, ctx.reverse, ctx.kept = inputs
    ctx.biases = tensors[5] is not None
    ctx.present = [part is not None for part in tensors[:13]]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors[:5], *tensors[7:], *output[:2], *output[4:])  # all but biases and final states


def _derive(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    if not ctx.kept:
        raise RuntimeError("a native recurrence was traced without gradients and has none: trace with gradients")
    found = iter(read_backward(ctx.saved_tensors, gradients[:4], ctx.cell, ctx.reverse, ctx.biases))
    return *(next(found) if present else None for present in ctx.present), *[None] * 8


read.register_autograd(_derive, setup_context=_keep_for_backward)
