"""A window without gradients: of a short one the time goes into Python, so Python does little.

The seam's kernels serve any call, and their checks and allocations take longer than a short window itself.
"""

from __future__ import annotations

import struct

import torch
from torch import Tensor

from elman.kernels.native.library import check, entry, is_traced, parallel_for, why_not_here
from elman.kernels.native.options import NUMBERS

MOST_ROWS = 4  # of a single step; with more, packed weights are worth their packing
LAYOUT = struct.Struct("4q2i11P")  # `struct Window` of sweep.h; a `ctypes.Structure` takes four times as long


def is_plain_eager(x: Tensor) -> bool:
    """Whether x is on a CPU, without gradients, and nothing records or transforms the operations on x."""
    return not torch.is_grad_enabled() and x.is_cpu and not is_traced(x) and why_not_here() is None


def read_window(
    cell: str, x: Tensor, size: tuple[int, int, int], state: list[int], weights: list[int], states: int
) -> tuple[Tensor, ...] | None:
    """x (T, B, D), or (B, T, D) where T or B is 1 -> every h, shaped as x, and the final state: 1 or 2 times (1, B, H).

    `size` is T, B and H. `state` holds the addresses of as many tensors (1, B, H), or is empty for zeros; `weights`
    those of W_ih, W_hh and, maybe, of both biases. All are contiguous and of x's dtype; the caller has checked that,
    and the shapes. None where the core was not built, or knows no such dtype.
    """
    function = entry("window", x.dtype)
    if function is None:
        return None
    T, B, H = size
    first, second, D = x.shape
    w_ih, w_hh, b_ih, b_hh = weights if len(weights) > 2 else (*weights, 0, 0)
    h_first, c_first = state if len(state) > 1 else (*state, 0, 0)[:2]
    h, h_final = x.new_empty(first, second, H), x.new_empty(1, B, H)
    c_final = x.new_empty(1, B, H) if states > 1 else None
    given = LAYOUT.pack(
        *(T, B, D, H, NUMBERS[cell], torch.get_num_threads(), parallel_for(), x.data_ptr(), w_ih, w_hh, b_ih, b_hh),
        *(h_first, c_first, h.data_ptr(), h_final.data_ptr(), 0 if c_final is None else c_final.data_ptr()),
    )
    check("window", function(given))
    return (h, h_final) if c_final is None else (h, h_final, c_final)
