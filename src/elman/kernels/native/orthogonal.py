"""Matrices made orthogonal by the compiled core, each in the caches of one thread."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from elman.kernels.native.library import entry, fields_of, has_avx512, is_traced, parallel_for, run

if TYPE_CHECKING:
    from elman.kernels.orthogonal import Maps

MOST = 512  # of the shorter side; all that a larger matrix needs no longer stays in a second-level cache


class Map(ctypes.Structure):
    """`struct Map` of orthogonal.h, where the fields are explained."""

    _fields_ = (*fields_of(ctypes.c_int64, "M N"), *fields_of(ctypes.c_void_p, "x y"), ("factor", ctypes.c_double))


class Orthogonal(ctypes.Structure):
    """`struct Orthogonal` of orthogonal.h."""

    _fields_ = (
        ("count", ctypes.c_int64),
        *fields_of(ctypes.c_int32, "threads steps"),
        ("margin", ctypes.c_double),
        *fields_of(ctypes.c_void_p, "parallel_for maps polynomials"),
    )


def serves(onto: Tensor, of: Tensor, count: int) -> bool:
    """Whether the core can take such maps: with AVX2 alone torch's products are faster."""
    plain = all(part.is_cpu and part.is_contiguous() and not is_traced(part) for part in (onto, of))
    return (
        plain
        and has_avx512()
        and entry("orthogonal", onto.dtype) is not None
        and onto.dtype == of.dtype != torch.bfloat16
        and onto.shape == of.shape
        and onto.dim() == 2
        and len(onto) % count == 0
        and min(len(onto) // count, onto.shape[1]) <= MOST
    )


def add_orthogonal(
    every: Sequence[Maps], polynomials: Sequence[tuple[float, float, float]], margin: float, *, rounded: bool
) -> None:
    """`elman.kernels.orthogonal.add_orthogonal` of maps that the core serves, all of one dtype."""
    dtype = every[0].onto.dtype
    low = torch.bfloat16 if rounded and dtype == torch.float32 else dtype
    given = []
    for onto, of, count, factor in every:
        rows, N = len(onto) // count, onto.shape[1]
        size = rows * N * onto.element_size()
        places = (of.data_ptr(), onto.data_ptr())
        given += [Map(rows, N, *(place + n * size for place in places), factor) for n in range(count)]
    maps = (Map * len(given))(*given)
    numbers = (ctypes.c_double * (3 * len(polynomials)))(*(number for each in polynomials for number in each))
    addresses = (ctypes.addressof(maps), ctypes.addressof(numbers))
    run(
        "orthogonal",
        low,
        Orthogonal(len(maps), torch.get_num_threads(), len(polynomials), margin, parallel_for(), *addresses),
    )
