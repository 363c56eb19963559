"""The large products around the core's recurrence: the core's own with AVX-512, else torch's.

On two cores with AVX-512 the core's took 0.6 to 1.05 times as long as torch.mm over the shapes of `elman bench`, the
more so where the result is large, since it asks the system for large pages; with AVX2 alone it took longer.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor

from elman.kernels.native.library import instruction_set, library, parallel_for


class Matmul(ctypes.Structure):
    """`struct Matmul` of sweep.h, which says what everything is."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("M", "N", "K", "a_row", "a_column", "b_row", "b_column")),
        *((name, ctypes.c_int32) for name in ("threads", "add")),
        *((name, ctypes.c_void_p) for name in ("parallel_for", "a", "b", "bias", "c")),
    )


@cache
def entry(dtype: torch.dtype) -> Any:
    """The function of sweep.h for a dtype; None where torch's is to be preferred."""
    name = {torch.float32: "float", torch.float64: "double"}.get(dtype)
    if name is None or not (instruction_set() or "").startswith("avx512"):
        return None
    function = getattr(library(), f"elman_matmul_{name}")
    function.argtypes = (ctypes.POINTER(Matmul),)
    return function


def matmul(a: Tensor, b: Tensor, bias: Tensor | None = None, *, into: Tensor | None = None) -> Tensor:
    """a (M, K) times b (K, N), plus a bias (N,), or added to what is in `into`, which is then what comes back."""
    function = entry(a.dtype)
    if function is None or 0 in a.shape or 1 not in a.stride() or 1 not in b.stride():
        if into is not None:
            return into.addmm_(a, b)
        return a @ b if bias is None else torch.addmm(bias, a, b)
    (M, K), N = a.shape, b.shape[1]
    out = a.new_empty(M, N) if into is None else into
    assert (*b.shape, *out.shape) == (K, N, M, N), "whoever calls has seen to shapes"
    assert out.is_contiguous()
    given = Matmul(
        M,
        N,
        K,
        *a.stride(),
        *b.stride(),
        torch.get_num_threads(),
        int(into is not None),
        parallel_for(),
        a.data_ptr(),
        b.data_ptr(),
        None if bias is None else bias.data_ptr(),
        out.data_ptr(),
    )
    if function(given) != 0:
        raise MemoryError("no memory for the packed matrices of a native product")
    return out
