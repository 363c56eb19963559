"""What backward adds up over all steps at once: one large matmul for each weight, outside of the core."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elman.kernels.masks import real_steps
from elman.kernels.native.matmul import matmul
from elman.kernels.native.options import Options


def of_weights(
    options: Options,
    wanted: tuple[bool, ...],
    inputs: tuple[Any, ...],
    h: Tensor,
    dgates: Tensor,
    room: dict[str, Tensor],
) -> tuple[Tensor | None, ...]:
    """The derivatives by x, w_ih, w_hh, b_ih and b_hh, which are sums over all steps.

    From those by what enters the nonlinearities, dgates (T * B, ·); with layer normalization, where `room` has more of
    them, from those before it.
    """
    x, h_first, _, w_ih, w_hh, *_ = inputs
    (T, B, D), GH = x.shape, len(w_hh)
    gru, normed = options.cell == "gru", "dsums" in room
    # The GRU's new gate has two sums: the core gives n_x, r, z, n_h, of which each side takes three. Those by W_ih x
    # lie in another order than W_ih: what needs both is made of two products.
    by_bias = room["dbias"] if normed else dgates
    by_x, by_h = (dgates, room["dsums"]) if normed else (dgates[:, :GH], dgates[:, -GH:])  # (T * B, G * H)
    dx = dw_ih = dw_hh = db_ih = db_hh = None
    H = GH // 3
    places = [(slice(H), slice(2 * H, GH)), (slice(H, GH), slice(2 * H))] if gru and not normed else [(slice(GH),) * 2]
    if wanted[0]:
        weight = w_ih.to(x.dtype)
        dx = x.new_empty(T * B, D)
        for n, (mine, its) in enumerate(places):
            matmul(by_x[:, mine], weight[its], out=dx, add=n > 0)
        dx = dx.view(T, B, D)
    if wanted[3]:
        read = _read(x, options.lengths)
        dw_ih = x.new_empty(GH, D)
        for mine, its in places:
            matmul(by_x[:, mine].t(), read, out=dw_ih[its])
        dw_ih = dw_ih.to(w_ih.dtype)
    if wanted[5]:
        db_ih = by_bias[:, :GH].sum(0).to(h_first.dtype)
        db_ih = db_ih.roll(-H) if gru else db_ih
    if wanted[6]:
        db_hh = by_bias[:, -GH:].sum(0).to(h_first.dtype) if gru or db_ih is None else db_ih.clone()
    if wanted[4]:  # the last, for it uses up what the others read
        dw_hh = _weight_gradient(by_h, options, h_first.to(h.dtype), h).to(h_first.dtype)
    return dx, dw_ih, dw_hh, db_ih, db_hh


def _read(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (T * B, D), zeros in place of the padding: what nobody read may be NaN, which times 0 is not 0."""
    T, B, D = x.shape
    if lengths is None:
        return x.reshape(T * B, D)
    padding = (~real_steps(lengths, T)).view(-1).nonzero().flatten()
    return x.reshape(T * B, D).index_fill(0, padding, 0)


def _weight_gradient(dgates: Tensor, options: Options, h_first: Tensor, h: Tensor) -> Tensor:
    """Sum over t of dgates_t^T h_{t-1}, as W_hh read it; dgates (T * B, G * H) are used up."""
    T, B, P = h.shape
    if options.noise.recurrent is not None:
        h, h_first = ((part * options.noise.recurrent).to(h.dtype) for part in (h, h_first))
    if T == 0:
        return dgates.t() @ h.view(0, P)
    before = (h[1:] if options.reverse else h[:-1]).reshape((T - 1) * B, P)  # what all steps but the first read
    # No copy of h: the steps that start from the initial state have a matmul of their own. That of a row in reverse is
    # its last one, and what h has after it is padding, which is zeros.
    first, others = (slice((T - 1) * B, None), slice(0, (T - 1) * B)) if options.reverse else (slice(B), slice(B, None))
    of_first: slice | Tensor = first
    if options.reverse and options.lengths is not None:
        of_first = (options.lengths - 1).clamp(min=0) * B + torch.arange(B)  # of empty rows, dgates are zeros
    if options.cleared is not None:  # what such a step read is not h but zeros
        cleared = options.cleared.view(-1)
        dgates.index_fill_(0, cleared.nonzero().flatten(), 0)
        h_first = h_first.masked_fill(cleared[of_first, None], 0)
        read = cleared[others].nonzero().flatten()
        if not before[read].isfinite().all():  # and 0 times it is not 0
            before = before.index_fill(0, read, 0)
    found = matmul(dgates[of_first].t(), h_first)
    return found if T == 1 else matmul(dgates[others].t(), before, out=found, add=True)
