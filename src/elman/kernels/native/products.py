"""The large products around the core's recurrence: the core's own matmul with AVX-512, else torch's.

On two cores with AVX-512 the core's took 0.6 to 1.05 times as long as torch.mm over the shapes of `elman bench`, the
more so where the result is large, since the core asks the system for large pages; with AVX2 alone the core took longer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elman.kernels.native.library import Matmul, entry, has_avx512, parallel_for, run
from elman.kernels.native.options import Options
from elman.kernels.seam import real_steps

# With fewer rows, or fewer numbers to add up, packing takes longer than it saves.
LEAST_ROWS, LEAST_DEPTH = 4, 40


def matmul(a: Tensor, b: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None, add: bool = False) -> Tensor:
    """a (M, K) times b (K, N), plus a bias (N,); written into `out`, or with `add` added to `out`, where given."""
    served = has_avx512() and entry("matmul", a.dtype) is not None
    if not served or len(a) < LEAST_ROWS or len(b) < LEAST_DEPTH or 1 not in a.stride() or 1 not in b.stride():
        if add and out is not None:
            return out.addmm_(a, b)
        return torch.mm(a, b, out=out) if bias is None else torch.addmm(bias, a, b, out=out)
    (M, K), N = a.shape, b.shape[1]
    out = a.new_empty(M, N) if out is None else out
    assert (*b.shape, *out.shape) == (K, N, M, N), "the caller has checked the shapes"
    assert out.is_contiguous()
    sizes = (M, N, K, *a.stride(), *b.stride(), torch.get_num_threads(), int(add))
    addresses = (a.data_ptr(), b.data_ptr(), None if bias is None else bias.data_ptr(), out.data_ptr())
    run("matmul", a.dtype, Matmul(*sizes, parallel_for(), *addresses))
    return out


def sums_over_steps(
    options: Options,
    wanted: tuple[bool, ...],
    inputs: tuple[Any, ...],
    h: Tensor,
    dgates: Tensor,
    room: dict[str, Tensor],
) -> tuple[Tensor | None, ...]:
    """The derivatives by x, w_ih, w_hh, b_ih and b_hh: one large matmul over all steps for each weight.

    `dgates` (T * B, ·) are the derivatives by the inputs of the nonlinearities. With layer normalization, `room`
    has the derivatives by the sums before the normalization too.
    """
    x, h_first, _, w_ih, w_hh, *_ = inputs
    (T, B, D), GH = x.shape, len(w_hh)
    gru, normed = options.cell == "gru", "dsums" in room
    # The GRU's new gate has two sums: the core gives n_x, r, z, n_h, of which each side takes three. Those by W_ih x
    # lie in another order than the rows of W_ih, which are turned by a block.
    by_bias = room["dbias"] if normed else dgates
    by_x, by_h = (dgates, room["dsums"]) if normed else (dgates[:, :GH], dgates[:, -GH:])  # (T * B, G * H)
    dx = dw_ih = dw_hh = db_ih = db_hh = None
    H = GH // 3
    turned = gru and not normed
    if wanted[0]:
        weight = w_ih.to(x.dtype)
        dx = matmul(by_x, weight.roll(H, 0) if turned else weight).view(T, B, D)
    if wanted[3]:
        dw_ih = matmul(by_x.t(), _blank_rows(x, options.lengths)).to(w_ih.dtype)
        dw_ih = dw_ih.roll(-H, 0) if turned else dw_ih
    if wanted[5] or wanted[6]:
        sums = by_bias.sum(0).to(h_first.dtype)
        db_ih, db_hh = (sums[:GH].roll(-H), sums[-GH:]) if gru else (sums, sums.clone())
    if wanted[4]:  # the last, for this sum overwrites `dgates`
        dw_hh = _weight_gradient(by_h, options, h_first.to(h.dtype), h).to(h_first.dtype)
    return dx, dw_ih, dw_hh, db_ih, db_hh


def _blank_rows(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (T * B, D), zeros in place of the padding: the padding may hold NaN, and 0 times NaN is not 0."""
    T, B, D = x.shape
    if lengths is None:
        return x.reshape(T * B, D)
    padding = (~real_steps(lengths, T)).view(-1).nonzero().flatten()
    return x.reshape(T * B, D).index_fill(0, padding, 0)


def _weight_gradient(dgates: Tensor, options: Options, h_first: Tensor, h: Tensor) -> Tensor:
    """Sum over t of dgates_t^T h_{t-1}, with the h_{t-1} that W_hh read; overwrites dgates (T * B, G * H)."""
    T, B, P = h.shape
    if options.noise.recurrent is not None:
        h, h_first = ((part * options.noise.recurrent).to(h.dtype) for part in (h, h_first))
    if T == 0:
        return dgates.t() @ h.view(0, P)
    before = (h[1:] if options.reverse else h[:-1]).reshape((T - 1) * B, P)  # the h that all steps but the first read
    # No copy of h: the steps that start from the initial state have a matmul of their own. In reverse, a row's first
    # step is its last real one, and all that h has after that step is padding, which is zeros.
    first, others = (slice((T - 1) * B, None), slice(0, (T - 1) * B)) if options.reverse else (slice(B), slice(B, None))
    of_first: slice | Tensor = first
    if options.reverse and options.lengths is not None:
        of_first = (options.lengths - 1).clamp(min=0) * B + torch.arange(B)  # the dgates of empty rows are zeros
    if options.cleared is not None:  # a cleared step read zeros in place of h
        cleared = options.cleared.view(-1)
        dgates.index_fill_(0, cleared.nonzero().flatten(), 0)
        h_first = h_first.masked_fill(cleared[of_first, None], 0)
        read = cleared[others].nonzero().flatten()
        if not before[read].isfinite().all():  # 0 times such a number is not 0
            before = before.index_fill(0, read, 0)
    found = matmul(dgates[of_first].t(), h_first)
    return found if T == 1 else matmul(dgates[others].t(), before, out=found, add=True)
