"""The large products around the core's recurrence: the core's own with AVX-512, else torch's.

On two cores with AVX-512 the core's took 0.6 to 1.05 times as long as torch.mm over the shapes of `elman bench`, the
more so where the result is large, since it asks the system for large pages; with AVX2 alone it took longer.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from elman.kernels.native.library import entry, has_avx512, parallel_for


class Matmul(ctypes.Structure):
    """`struct Matmul` of sweep.h, which says what everything is."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("M", "N", "K", "a_row", "a_column", "b_row", "b_column")),
        *((name, ctypes.c_int32) for name in ("threads", "add")),
        *((name, ctypes.c_void_p) for name in ("parallel_for", "a", "b", "bias", "c")),
    )


# With fewer rows, or fewer numbers to add up, nothing is worth its packing.
LEAST_ROWS, LEAST_DEPTH = 4, 40


def matmul(a: Tensor, b: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None, add: bool = False) -> Tensor:
    """a (M, K) times b (K, N), plus a bias (N,); in `out`, or added to what it holds, if it is given."""
    function = entry("matmul", a.dtype) if has_avx512() else None
    if function is None or len(a) < LEAST_ROWS or len(b) < LEAST_DEPTH or 1 not in a.stride() or 1 not in b.stride():
        if add and out is not None:
            return out.addmm_(a, b)
        return torch.mm(a, b, out=out) if bias is None else torch.addmm(bias, a, b, out=out)
    (M, K), N = a.shape, b.shape[1]
    out = a.new_empty(M, N) if out is None else out
    assert (*b.shape, *out.shape) == (K, N, M, N), "whoever calls has seen to shapes"
    assert out.is_contiguous()
    given = Matmul(
        M,
        N,
        K,
        *a.stride(),
        *b.stride(),
        torch.get_num_threads(),
        int(add),
        parallel_for(),
        a.data_ptr(),
        b.data_ptr(),
        None if bias is None else bias.data_ptr(),
        out.data_ptr(),
    )
    if function(ctypes.byref(given)) != 0:
        raise MemoryError("no memory for the packed matrices of a native product")
    return out
