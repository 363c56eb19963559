"""The compiled core, where there is one: found when first wanted, called through a plain C interface.

The core is built without torch, and one build serves every version of torch: the core is handed pointers, and the
address of `torch_parallel_for` from LibTorch's stable ABI, by which the core runs on torch's own threads.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor

from elman.kernels.seam import why_not_transformed


def fields_of(kind: type, names: str) -> list[tuple[str, type]]:
    """Fields of one type for a `ctypes.Structure`.

    >>> [name for name, _ in fields_of(ctypes.c_int64, "T B")]
    ['T', 'B']
    """
    return [(name, kind) for name in names.split()]


class Matmul(ctypes.Structure):
    """`struct Matmul` of sweep.h, where the fields are explained."""

    _fields_ = (
        *fields_of(ctypes.c_int64, "M N K a_row a_column b_row b_column"),
        *fields_of(ctypes.c_int32, "threads add"),
        *fields_of(ctypes.c_void_p, "parallel_for a b bias c"),
    )


class Sweep(ctypes.Structure):
    """`struct Sweep` of sweep.h, where the fields are explained."""

    _fields_ = (
        *fields_of(ctypes.c_int64, "T B H P"),
        *fields_of(ctypes.c_int32, "cell reverse threads keep"),
        *fields_of(ctypes.c_void_p, "parallel_for lengths cleared weight bias"),
        *fields_of(ctypes.c_int64, "D"),
        *fields_of(ctypes.c_void_p, "x weight_x bias_x gates hidden h c h_first c_first h_final c_final"),
        *fields_of(ctypes.c_void_p, "dh dc dh_final dc_final dgates dh_first dc_first"),
        *fields_of(ctypes.c_void_p, "weight_r recurrent zoneout zoneout_cell"),
        *fields_of(ctypes.c_int64, "zoneout_stride zoneout_cell_stride"),
        *fields_of(ctypes.c_void_p, "peephole gain_x gain gain_cell bias_cell normed_x normed scale_x scale"),
        *fields_of(ctypes.c_void_p, "dprojected dsums dpeephole dgain_x dgain dgain_cell dbias_cell dbias"),
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
    """The address of the function that runs work on torch's threads."""
    function = ctypes.CDLL(torch._C.__file__).torch_parallel_for
    return ctypes.cast(function, ctypes.c_void_p).value


def instruction_set() -> str | None:
    """The instruction set of the core on this machine, as sweep.h names it; None where there is no core.

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
    """A function of sweep.h, which takes a pointer to its structure; None without a core or for another dtype."""
    core = library()
    return None if core is None else getattr(core, f"elman_{name}_{NAMES.get(dtype)}", None)


def run(name: str, dtype: torch.dtype, given: ctypes.Structure) -> None:
    """Call a function of the core, which is there; see `check` for errors."""
    function = entry(name, dtype)
    assert function is not None, "the choice of the backend comes first"
    check(name, function(ctypes.byref(given)))


def check(name: str, failed: int) -> None:
    """Raise the error of a function's answer, unless that is 0.

    Raises:
        MemoryError: for 1.
        ValueError: for 2, which attention alone answers (attend.h).
    """
    if failed == 1:
        raise MemoryError(f"no memory for the scratch of a native {name} pass")
    if failed:
        raise ValueError("position: expected steps of which the slots of memory hold the last, got others")


# The fields that a pass in bfloat16 takes in bfloat16; all other numbers are float there (sweep.h).
LARGE = {"x", "gates", "hidden", "h", "dh", "dgates", "normed_x", "normed", "dprojected", "dsums"}
MASKS = {"lengths": torch.int64, "cleared": torch.bool}
CELLS_OF_CORE = range(4)  # `enum CellKind` of sweep.h; the core would run any other number as an LSTM
NAMES: dict[torch.dtype, str] = {torch.float32: "float", torch.float64: "double", torch.bfloat16: "bfloat16"}


def call(direction: str, dtype: torch.dtype, fields: Mapping[str, Tensor | int | None]) -> None:
    """Run `elman_forward_float` and its like over the fields of `Sweep`, whose tensors are contiguous."""
    small = torch.promote_types(dtype, torch.float32)
    sweep = Sweep(parallel_for=parallel_for(), threads=torch.get_num_threads())
    for name, value in fields.items():
        if isinstance(value, Tensor):
            assert value.is_contiguous(), f"{name} is not contiguous"
            assert value.dtype == MASKS.get(name, dtype if name in LARGE else small), f"{name} is {value.dtype}"
            setattr(sweep, name, value.data_ptr())
        elif value is not None:
            setattr(sweep, name, value)
    run(direction, dtype, sweep)


def is_traced(x: Tensor) -> bool:
    """Whether something records the operations on x, or x holds no numbers, so that only an operator will do."""
    if torch.compiler.is_compiling():
        return True
    return torch._C._len_torch_dispatch_stack() > 0 or type(x) not in (Tensor, torch.nn.Parameter)


def why_not_here() -> str | None:
    """The reason why, inside a transform or a trace, not even an operator can serve a call, or None."""
    if not torch.compiler.is_compiling() and torch._C._get_tracing_state() is not None:
        return "torch.jit cannot trace it"
    return why_not_transformed()
