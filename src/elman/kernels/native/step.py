"""One step of a few rows without gradients, for a server's call: the time goes into Python, so Python does little.

The seam's kernels serve any call, and their checks and allocations take longer than the step itself.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from elman.kernels.native.library import entry, fields_of, is_traced, run, why_not_here
from elman.kernels.native.options import NUMBERS

MOST_ROWS = 4  # with more, packed weights are worth their packing


class StepCall(ctypes.Structure):
    """`struct Step` of sweep.h, where the fields are explained."""

    _fields_ = (
        *fields_of(ctypes.c_int64, "B D H"),
        ("cell", ctypes.c_int32),
        *fields_of(ctypes.c_void_p, "x weight_x weight_h bias_x bias_h h_first c_first"),
        *fields_of(ctypes.c_void_p, "h h_final c_final"),
    )


def is_plain_eager(x: Tensor) -> bool:
    """Whether x is on a CPU, without gradients, and nothing records or transforms the operations on x."""
    return not torch.is_grad_enabled() and not is_traced(x) and x.is_cpu and why_not_here() is None


def step(
    cell: str,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    shape: torch.Size,
) -> tuple[Tensor, Tensor, Tensor | None] | None:
    """x (..., D), h and c (1, B, H), contiguous and of one dtype -> h as (*shape, H), and h and c (1, B, H).

    None where the core was not built, or knows no such dtype. The caller has checked shapes and dtypes.
    """
    if entry("step", x.dtype) is None:
        return None
    _, B, H = h.shape
    out, h_final = torch.empty((*shape, H), dtype=x.dtype), torch.empty_like(h)
    c_final = None if c is None else torch.empty_like(c)
    given = StepCall(
        B,
        x.shape[-1],
        H,
        NUMBERS[cell],
        x.data_ptr(),
        w_ih.data_ptr(),
        w_hh.data_ptr(),
        None if b_ih is None else b_ih.data_ptr(),
        None if b_hh is None else b_hh.data_ptr(),
        h.data_ptr(),
        None if c is None else c.data_ptr(),
        out.data_ptr(),
        h_final.data_ptr(),
        None if c_final is None else c_final.data_ptr(),
    )
    run("step", x.dtype, given)
    return out, h_final, c_final
