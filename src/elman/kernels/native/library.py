"""The compiled core, where there is one: found when first wanted, called through a plain C interface.

It is built without torch, and one build serves every version: it is handed pointers, and the address of
`torch_parallel_for` from LibTorch's stable ABI, by which it runs on torch's own threads.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


class Sweep(ctypes.Structure):
    """`struct Sweep` of sweep.h, which says what everything is."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("T", "B", "H", "P")),
        *((name, ctypes.c_int32) for name in ("cell", "reverse", "threads", "keep")),
        ("parallel_for", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("lengths", "cleared", "weight", "bias")),
        ("D", ctypes.c_int64),
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("x", "weight_x", "bias_x", "gates", "hidden", "h", "c", "h_first", "c_first", "h_final", "c_final"),
                *("dh", "dc", "dh_final", "dc_final", "dgates", "dh_first", "dc_first"),
                *("weight_r", "recurrent", "zoneout", "zoneout_cell"),
            )
        ),
        *((name, ctypes.c_int64) for name in ("zoneout_stride", "zoneout_cell_stride")),
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("peephole", "gain_x", "gain", "gain_cell", "bias_cell", "normed_x", "normed", "scale_x", "scale"),
                *("dprojected", "dsums", "dpeephole", "dgain_x", "dgain", "dgain_cell", "dbias_cell", "dbias"),
            )
        ),
    )


@cache
def library() -> ctypes.CDLL | None:
    """The compiled core, or None where it was not built."""
    spec = importlib.util.find_spec("elman.kernels.native._core")
    if spec is None or spec.origin is None:
        return None
    core = ctypes.CDLL(spec.origin)
    core.elman_instruction_set.restype = ctypes.c_char_p
    return core


@cache
def parallel_for() -> int | None:
    """The address of torch's own way to run on its threads."""
    function = ctypes.CDLL(torch._C.__file__).torch_parallel_for
    return ctypes.cast(function, ctypes.c_void_p).value


def instruction_set() -> str | None:
    """What the core was made to run on here, as sweep.h names it; None where there is no core.

    >>> instruction_set() in ("avx512_bf16", "avx512", "avx2", "baseline", None)
    True
    """
    core = library()
    return None if core is None else core.elman_instruction_set().decode()


@cache
def has_avx512() -> bool:
    """Whether the core runs with AVX-512 here."""
    return (instruction_set() or "").startswith("avx512")


@cache
def entry(name: str, dtype: torch.dtype) -> Callable[..., int] | None:
    """One of the functions of sweep.h, which take a pointer to their structure; None where there is none."""
    core = library()
    return None if core is None else getattr(core, f"elman_{name}_{NAMES.get(dtype)}", None)


# What a pass in bfloat16 takes as such; all other numbers are float there (sweep.h).
LARGE = {"x", "gates", "hidden", "h", "dh", "dgates", "normed_x", "normed", "dprojected", "dsums"}
MASKS = {"lengths": torch.int64, "cleared": torch.bool}


def _dtype_of(name: str, dtype: torch.dtype) -> torch.dtype:
    """What the field of a pass in `dtype` must be."""
    return MASKS.get(name) or (torch.float32 if dtype == torch.bfloat16 and name not in LARGE else dtype)


def call(direction: str, dtype: torch.dtype, **fields: Tensor | int | None) -> None:
    """Run `elman_forward_float` and its like over contiguous tensors; whoever calls keeps them alive."""
    sweep = Sweep(parallel_for=parallel_for(), threads=torch.get_num_threads())
    for name, value in fields.items():
        if isinstance(value, Tensor):
            assert value.is_contiguous(), f"{name} is not contiguous"
            assert value.dtype == _dtype_of(name, dtype), f"{name} is {value.dtype}"
            setattr(sweep, name, value.data_ptr())
        elif value is not None:
            setattr(sweep, name, value)
    function = entry(direction, dtype)
    assert function is not None, "the choice of the backend comes first"
    if function(ctypes.byref(sweep)) != 0:
        raise MemoryError(f"no memory for the scratch of a native {direction} pass")


NAMES: dict[torch.dtype, str] = {torch.float32: "float", torch.float64: "double", torch.bfloat16: "bfloat16"}
