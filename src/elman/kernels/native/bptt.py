"""Backpropagation through time around the compiled core, as one node of autograd's graph.

Forward, with G gates of which torch's order is kept:    core, of gates = W_ih x + b and W_hh h  ->  h, c, gates
Backward: dh, dc  ->  core  ->  dgates (T, B, G * H), then
    dx = dgates W_ih,    dW_ih = sum over t of dgates_t^T x_t,    dW_hh = sum over t of dgates_t^T h_{t-1}

In bfloat16 (that of the input, or of autocast) every matmul reads bfloat16 and adds in float32, and what is large
(x, gates, every h_t) is kept in bfloat16. The memory itself stays in float32: h and c are rounded only where a
matmul reads them, so that nothing is lost over many steps.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from elman.cells import Weights
from elman.kernels import reference
from elman.kernels.native.library import call
from elman.kernels.native.matmul import matmul
from elman.kernels.native.options import GATES, Options
from elman.kernels.native.step import MOST_ROWS
from elman.kernels.native.sums import of_weights
from elman.kernels.native.variations import PLAIN, Varied
from elman.kernels.seam import Noise


def forward(
    options: Options,
    x: Tensor,
    h_first: Tensor,
    c_first: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    *own: Tensor | None,
    keep: bool,
) -> tuple[Tensor | None, ...]:
    """(h, c, h_final, c_final) and, to keep for backward, (gates, hidden).

    `own` are the weights of `Varied`, or none. With layer normalization more follows to keep: see `Varied.to_keep`.
    """
    (T, B, D), (GH, P), G = x.shape, w_hh.shape, GATES[options.cell]
    H, gru, elman = GH // G, options.cell == "gru", G == 1
    bias, bias_hidden = _biases(options.cell, b_ih, b_hh, H)
    varied = Varied(options.noise, *own) if own else PLAIN
    projection: dict[str, Any] = {"bias_x": bias}
    h = x.new_empty(T, B, P)
    of_h = elman and options.noise.zoneout is None  # whose one gate is h
    gates: Any = h.view(T * B, P) if of_h else None  # (T * B, G * H)
    if T * B <= MOST_ROWS:  # not packed, nor projected, by the core
        added = None if bias is None or varied.gain_ih is not None else bias.to(x.dtype)
        gates = matmul(x.reshape(T * B, D), w_ih.to(x.dtype).t(), added, out=gates)
    else:
        projection |= {"D": D, "x": x.contiguous(), "weight_x": w_ih.contiguous()}
        if gates is None and (keep or elman):
            gates = x.new_empty(T * B, GH)
    make = Tensor.new_empty if options.lengths is None else Tensor.new_zeros  # the core passes padding over
    normed = varied.to_keep(x, GH, make) if keep else {}
    hidden = make(x, (T, B, H)) if keep and (gru or varied.weight_hr is not None) else None
    h_final = h_first.new_empty(B, P)
    c, c_final = (None, None) if c_first is None else (c_first.new_empty(T, B, H), c_first.new_empty(B, H))
    held = (h_first.contiguous(), None if c_first is None else c_first.contiguous(), w_hh.contiguous())
    call(
        "forward",
        x.dtype,
        **options.fields(),
        **varied.fields(),
        **normed,
        **projection,
        T=T,
        B=B,
        H=H,
        P=P,
        keep=int(keep),
        weight=held[2],
        bias=bias_hidden,
        gates=gates,
        hidden=hidden,
        h=h,
        c=c,
        h_first=held[0],
        c_first=held[1],
        h_final=h_final,
        c_final=c_final,
    )
    return h, c, h_final, c_final, None if of_h else gates, hidden, *normed.values()


def _biases(cell: str, b_ih: Tensor | None, b_hh: Tensor | None, H: int) -> tuple[Tensor | None, Tensor | None]:
    """What is added before the core, and what only the core can add: in the GRU's new gate, before the reset gate."""
    if b_ih is None or b_hh is None:
        return b_ih, None
    bias = b_ih + b_hh
    if cell != "gru":
        return bias, None
    bias[2 * H :] = b_ih[2 * H :]
    return bias, b_hh[2 * H :].contiguous()


class Recurrence(torch.autograd.Function):
    """`forward` and `backward` as one node."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any, options: Options, *inputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        h, c, h_final, c_final, *kept = forward(options, *cast(Any, inputs), keep=True)
        ctx.cell, ctx.reverse = options.cell, options.reverse
        ctx.set_materialize_grads(False)
        # The masks too: who changes them in place before backward shall hear of it.
        masks = (*options[2:5], *options.noise)
        ctx.save_for_backward(*masks, *inputs, h, c, *kept)
        return h, c, h_final, c_final

    @staticmethod
    def backward(  # noqa: D102
        ctx: Any, *gradients: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        (lengths, resets, cleared), noise, saved = saved[:3], Noise(*saved[3:6]), saved[6:]
        options = Options(ctx.cell, ctx.reverse, lengths, resets, cleared, noise)
        derive = _backward_of_reference if torch.is_grad_enabled() else backward
        return None, *derive(options, ctx.needs_input_grad[1:], saved, gradients)


def backward(
    options: Options, wanted: tuple[bool, ...], saved: tuple[Any, ...], gradients: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The derivatives by each of the inputs, of which some are `wanted`, from those by h, c and the final state."""
    inputs, (h, c, gates, hidden, *normed) = saved[: len(wanted)], saved[len(wanted) :]
    x, h_first, c_first, _, w_hh, _, _, *own = inputs
    (T, B, P), GH = h.shape, len(w_hh)
    H = GH // GATES[options.cell]
    varied = Varied(options.noise, *own) if own else PLAIN
    dh, dc, dh_final, dc_final = (None if part is None else part.contiguous() for part in gradients)
    derivatives = GH + H if options.cell == "gru" else GH
    room = varied.room(x, derivatives)
    dgates = x.new_empty(T * B, derivatives if varied.gain_hh is None else GH)
    dh_first = dc_first = None
    if any(wanted[1:3]):
        dh_first, dc_first = h_first.new_empty(B, P), None if c_first is None else h_first.new_empty(B, H)
    h_first = h_first.contiguous()
    held = (None if c_first is None else c_first.contiguous(), w_hh.contiguous())
    call(
        "backward",
        x.dtype,
        **options.fields(),
        **varied.fields(),
        **dict(zip(("normed_x", "normed", "scale_x", "scale"), normed, strict=False)),
        **room,
        T=T,
        B=B,
        H=H,
        P=P,
        weight=held[1],
        gates=gates,
        hidden=hidden,
        h=h,
        c=c,
        h_first=h_first,
        c_first=held[0],
        dh=dh,
        dc=dc,
        dh_final=dh_final,
        dc_final=dc_final,
        dgates=dgates,
        dh_first=dh_first,
        dc_first=dc_first,
    )
    found = of_weights(options, wanted, inputs, h, dgates, room)
    found = (found[0], dh_first, dc_first, *found[1:])
    if not own:
        return found
    dw_hr = None
    if wanted[7] and varied.weight_hr is not None:
        dw_hr = matmul(room["dprojected"].t(), hidden.view(T * B, H)).to(h_first.dtype)
    of_vectors = ("dpeephole", "dgain_x", "dgain", "dgain_cell", "dbias_cell")
    return *found, dw_hr, *(room[name].sum(0) if name in room else None for name in of_vectors)


def _backward_of_reference(
    options: Options, wanted: tuple[bool, ...], saved: tuple[Any, ...], gradients: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The same, as a graph that can itself be differentiated, of any order: the reference's, run anew."""
    # As they are seen here: what one of them has to do with another is the outer graph's affair.
    inputs = [None if part is None else part.view_as(part) for part in saved[: len(wanted)]]
    number = saved[1].dtype
    x, h_first, c_first, *weights = (cast(Tensor, None if part is None else part.to(number)) for part in inputs)
    result = reference.kernel_of(options.cell)(
        x,
        (h_first,) if saved[2] is None else (h_first, c_first),
        Weights(*weights),
        reverse=options.reverse,
        lengths=options.lengths,
        resets=options.resets,
        noise=options.noise,
    )
    outputs = (result.h.to(saved[0].dtype), *(result.others or [None]), *result.final)
    given = [(out, grad) for out, grad in zip(outputs, gradients, strict=False) if grad is not None]
    ends, starts = [cast(Tensor, out) for out, _ in given], [grad for _, grad in given]
    sought = [cast(Tensor, part) for part, needed in zip(inputs, wanted, strict=True) if needed]
    found = iter(torch.autograd.grad(ends, sought, starts, create_graph=True, allow_unused=True))
    return tuple(next(found) if needed else None for needed in wanted)
