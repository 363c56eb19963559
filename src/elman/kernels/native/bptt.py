"""Backpropagation through time around the compiled core, as one node of autograd's graph.

Forward, with G gates of which torch's order is kept:    gates = W_ih x + b  ->  core  ->  h, c, gates
Backward: dh, dc  ->  core  ->  dgates (T, B, G * H), then
    dx = dgates W_ih,    dW_ih = sum over t of dgates_t^T x_t,    dW_hh = sum over t of dgates_t^T h_{t-1}

In bfloat16 (that of the input, or of autocast) every matmul reads bfloat16 and adds in float32, and what is large
(x, gates, every h_t) is kept in bfloat16. The memory itself stays in float32: h and c are rounded only where a
matmul reads them, so that nothing is lost over many steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from elman.kernels import reference
from elman.kernels.masks import blank_padding, clears, real_steps
from elman.kernels.native.library import call
from elman.kernels.seam import CELLS, Cell, Weights


class Options(NamedTuple):
    """What is not differentiated."""

    cell: Cell
    reverse: bool
    lengths: Tensor | None  # (B,)
    resets: Tensor | None  # (T, B)
    cleared: Tensor | None  # (T, B)

    def fields(self) -> dict[str, Tensor | int | None]:
        """As the core wants them."""
        return {
            "cell": CELLS.index(self.cell),
            "reverse": int(self.reverse),
            "lengths": self.lengths,
            "cleared": self.cleared,
        }


def arrange(cell: Cell, reverse: bool, lengths: Tensor | None, resets: Tensor | None, T: int) -> Options:
    """What is not differentiated, as the core wants it."""
    cleared = None
    if lengths is not None:
        lengths = lengths.to(torch.int64).clamp(0, T).contiguous()  # the core takes them for addresses
    if resets is not None:
        real = None if lengths is None else real_steps(lengths, T)  # (T, B)
        cleared = clears(resets, real, reverse).contiguous()  # (T, B)
    return Options(cell, reverse, lengths, resets, cleared)


def forward(
    options: Options,
    x: Tensor,
    h_first: Tensor,
    c_first: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    *,
    keep: bool,
) -> tuple[Tensor | None, ...]:
    """(h, c, h_final, c_final) and, to keep for backward, (x without padding, gates, hidden)."""
    (T, B, D), (GH, H) = x.shape, w_hh.shape
    gru, elman = options.cell == "gru", GH == H
    if options.lengths is not None:
        x = blank_padding(x, real_steps(options.lengths, T))
    bias, bias_hidden = b_ih, None
    if b_ih is not None and b_hh is not None:
        bias = b_ih + b_hh
        if gru:
            bias[2 * H :] = b_ih[2 * H :]
            bias_hidden = b_hh[2 * H :].contiguous()
        bias = bias.to(x.dtype)
    rows, matrix = x.reshape(T * B, D), w_ih.t()
    gates = rows @ matrix if bias is None else torch.addmm(bias, rows, matrix)  # (T * B, G * H)
    hidden = None
    if gru and keep:  # the core passes padding over
        hidden = x.new_empty(T, B, H) if options.lengths is None else x.new_zeros(T, B, H)
    h = gates.view(T, B, H) if elman else x.new_empty(T, B, H)
    h_final = h_first.new_empty(B, H)
    c, c_final = (None, None) if c_first is None else (c_first.new_empty(T, B, H), c_first.new_empty(B, H))
    held = (h_first.contiguous(), None if c_first is None else c_first.contiguous(), w_hh.contiguous())
    call(
        "forward",
        x.dtype,
        **options.fields(),
        T=T,
        B=B,
        H=H,
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
    return h, c, h_final, c_final, x, gates, hidden


class Recurrence(torch.autograd.Function):
    """`forward` and `backward` as one node."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any, options: Options, *inputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        h, c, h_final, c_final, x, gates, hidden = forward(options, *cast(Any, inputs), keep=True)
        ctx.cell, ctx.reverse = options.cell, options.reverse
        ctx.set_materialize_grads(False)
        # The masks too: who changes them in place before backward shall hear of it.
        ctx.save_for_backward(*options[2:], *inputs, x, h, c, gates if gates is not h else None, hidden)
        return h, c, h_final, c_final

    @staticmethod
    def backward(  # noqa: D102
        ctx: Any, *gradients: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        options, saved = Options(ctx.cell, ctx.reverse, *saved[:3]), saved[3:]
        derive = _backward_of_reference if torch.is_grad_enabled() else backward
        return None, *derive(options, ctx.needs_input_grad[1:], saved, gradients)


def backward(
    options: Options, wanted: tuple[bool, ...], saved: tuple[Any, ...], gradients: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The derivatives by each of the inputs, of which some are `wanted`, from those by h, c and the final state."""
    _, h_first, c_first, w_ih, w_hh, _, _, x, h, c, gates, hidden = saved
    (T, B, D), (GH, H) = x.shape, w_hh.shape
    gru = options.cell == "gru"
    dh, dc, dh_final, dc_final = (None if part is None else part.contiguous() for part in gradients)
    dgates = x.new_empty(T * B, GH + H if gru else GH)
    dh_first, dc_first = h_first.new_empty(B, H), None if c_first is None else h_first.new_empty(B, H)
    h_first = h_first.contiguous()
    held = (None if c_first is None else c_first.contiguous(), w_hh.contiguous())
    call(
        "backward",
        x.dtype,
        **options.fields(),
        T=T,
        B=B,
        H=H,
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
    # The GRU's new gate has two sums: the core gives n_x, r, z, n_h, of which each side takes three.
    by_x, by_h = (dgates[:, :GH], dgates[:, H:]) if gru else (dgates, dgates)  # (T * B, G * H)
    dx = dw_ih = dw_hh = db_ih = db_hh = None
    if wanted[0]:
        dx = (by_x @ (w_ih.roll(H, 0) if gru else w_ih)).view(T, B, D)
    if wanted[3]:
        dw_ih = by_x.t() @ x.reshape(T * B, D)
        dw_ih = dw_ih.roll(-H, 0) if gru else dw_ih
    if wanted[4]:
        dw_hh = _weight_gradient(by_h, options, h_first.to(h.dtype), h).to(h_first.dtype)
    if wanted[5]:
        db_ih = by_x.sum(0).to(h_first.dtype)
        db_ih = db_ih.roll(-H) if gru else db_ih
    if wanted[6]:
        db_hh = by_h.sum(0).to(h_first.dtype) if gru or db_ih is None else db_ih.clone()
    return dx, dh_first, dc_first, dw_ih, dw_hh, db_ih, db_hh


def _weight_gradient(dgates: Tensor, options: Options, h_first: Tensor, h: Tensor) -> Tensor:
    """Sum over t of dgates_t^T h_{t-1}; dgates (T * B, G * H)."""
    T, B, H = h.shape
    if T == 0:
        return dgates.t() @ h.view(0, H)
    reverse, lengths, cleared = options.reverse, options.lengths, options.cleared
    if cleared is None and (lengths is None or not reverse):
        # No copy of h: the step that starts from the initial state is a matmul of its own.
        first, others = (slice((T - 1) * B, None), slice(0, (T - 1) * B)) if reverse else (slice(B), slice(B, None))
        before = h[1:] if reverse else h[:-1]
        return torch.addmm(dgates[first].t() @ h_first, dgates[others].t(), before.reshape((T - 1) * B, H))
    before = torch.cat([h[1:], h_first[None]] if reverse else [h_first[None], h[:-1]])  # (T, B, H)
    if lengths is not None and reverse:
        rows = lengths.nonzero().flatten()
        before[lengths[rows] - 1, rows] = h_first[rows]
    if cleared is not None:
        before.masked_fill_(cleared[..., None], 0)
    return dgates.t() @ before.view(T * B, H)


def _backward_of_reference(
    options: Options, wanted: tuple[bool, ...], saved: tuple[Any, ...], gradients: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The same, as a graph that can itself be differentiated, of any order: the reference's, run anew."""
    # As they are seen here: what one of them has to do with another is the outer graph's affair.
    inputs = [None if part is None else part.view_as(part) for part in saved[:7]]
    number = saved[1].dtype
    x, h_first, c_first, *weights = (cast(Tensor, None if part is None else part.to(number)) for part in inputs)
    result = reference.KERNELS[options.cell](
        x,
        (h_first,) if saved[2] is None else (h_first, c_first),
        Weights(*weights),
        reverse=options.reverse,
        lengths=options.lengths,
        resets=options.resets,
    )
    outputs = (result.h.to(saved[0].dtype), result.c, *result.final)
    given = [(out, grad) for out, grad in zip(outputs, gradients, strict=False) if grad is not None]
    ends, starts = [cast(Tensor, out) for out, _ in given], [grad for _, grad in given]
    sought = [cast(Tensor, part) for part, needed in zip(inputs, wanted, strict=True) if needed]
    found = iter(torch.autograd.grad(ends, sought, starts, create_graph=True, allow_unused=True))
    return tuple(next(found) if needed else None for needed in wanted)
