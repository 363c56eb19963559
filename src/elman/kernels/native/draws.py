"""Random bits by the compiled core: the numbers of torch's own generator, in a sixth of its time."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from elman.kernels.native.library import check, fields_of, is_traced, library

STATE = 5056  # bytes of a state of torch's generator; of another size the core does not know it
LEAST = 1 << 13  # with fewer numbers, handing over the generator's state takes longer than it saves


class DrawsCall(ctypes.Structure):
    """`struct Draws` of draws.h, where the fields are explained."""

    _fields_ = (("N", ctypes.c_int64), *fields_of(ctypes.c_void_p, "twister numbers"))


def draw_bits(numbers: Tensor) -> Tensor:
    """`numbers.random_(-(2**63), None)`: int64 of any shape, contiguous, filled with random bits.

    The numbers, and what torch's generator draws afterwards, are the same whether the core draws them or torch.
    """
    draw = getattr(library(), "elman_draws", None)
    if draw is None or numbers.numel() < LEAST or not numbers.is_cpu or is_traced(numbers):
        return numbers.random_(-(2**63), None)
    state = torch.default_generator.get_state()
    if len(state) != STATE:
        return numbers.random_(-(2**63), None)
    check("draws", draw(ctypes.byref(DrawsCall(numbers.numel(), state.data_ptr(), numbers.data_ptr()))))
    torch.default_generator.set_state(state)
    return numbers
