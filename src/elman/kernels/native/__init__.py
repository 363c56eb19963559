"""The backend "native": compiled recurrences for the CPU, forward and backward.

The core projects the input and runs the recurrence, forward and backward (sweep.h says how); the gradients of the
weights are one large product each, over all steps. Derivatives of higher order are those of the reference.
"""

from __future__ import annotations

from functools import partial

import torch

from elman.kernels.native.kernel import read
from elman.kernels.native.library import NAMES, has_avx512, instruction_set, library, why_not_here
from elman.kernels.native.options import GATE_BLOCKS, IN_CORE
from elman.kernels.seam import Call, Kernel

__all__ = ["IN_CORE", "instruction_set", "is_beaten", "is_lean", "kernel_of", "kernel_of_outputs", "why_not"]


def why_not(call: Call) -> str | None:
    """The reason why the native kernels cannot serve a call, or None."""
    if call.cell not in IN_CORE:
        return f"the compiled core has no cell '{call.cell}'"
    if call.device.type != "cpu":
        return "it runs on a CPU alone"
    if not is_built():
        return "it was not built (it needs a C++ compiler when elman is installed)"
    if call.dtype not in NAMES:
        return f"it knows float32, float64 and bfloat16, not {str(call.dtype).removeprefix('torch.')}"
    if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") != torch.bfloat16:
        return "it knows autocast to bfloat16 alone"
    return why_not_here()


def is_beaten(call: Call) -> bool:
    """Whether oneDNN's LSTM was measured to be faster (`elman bench`).

    With AVX2 oneDNN is up to 1.3 times as fast for many steps of a full batch without gradients, in float32; with
    AVX-512 oneDNN is 0.85 to 1.1 times as fast.
    """
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False  # a compiler unrolls oneDNN's LSTM step by step; under autocast oneDNN rounds the state
    if has_avx512() or call.cell != "lstm" or call.dtype != torch.float32 or not call.whole or call.size is None:
        return False
    many = call.size[0] > 1 and call.size[1] >= 8
    return many and not (torch.is_grad_enabled() or call.every_state or call.variations)


def is_lean(cell: str, variations: tuple[str, ...]) -> bool:
    """Backward of Elman's network needs the outputs alone, where these are the values of its nonlinearity."""
    return GATE_BLOCKS[cell] == 1 and not {"zoneout", "layer normalization"} & {*variations}


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def is_built() -> bool:
    """Whether there is a compiled core."""
    return library() is not None


def kernel_of(cell: str) -> Kernel:
    """The kernel of a cell that the core has."""
    return partial(read, cell)


def kernel_of_outputs(cell: str) -> Kernel:
    """The same kernel, which without gradients does not write every c_t of the LSTM."""
    return partial(read, cell, every_state=False)
