"""Several calls of the core as one, recorded once and run again and again: for models that read one token at a time."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from elman.kernels.native.attention_passes import Attend
from elman.kernels.native.dense import Dense
from elman.kernels.native.library import run


class ProgramCall(ctypes.Structure):
    """`struct Call` of program.h."""

    _fields_ = (("dense", ctypes.POINTER(Dense)), ("attend", ctypes.POINTER(Attend)))


class Calls(ctypes.Structure):
    """`struct Program` of program.h."""

    _fields_ = (("length", ctypes.c_int64), ("calls", ctypes.POINTER(ProgramCall)))


class Program:
    """Calls with the tensors that they read and write, which stay where they are."""

    def __init__(self, dtype: torch.dtype, calls: list[Dense | Attend], held: list[Tensor]) -> None:
        kinds = [
            ProgramCall(dense=ctypes.pointer(x)) if isinstance(x, Dense) else ProgramCall(attend=ctypes.pointer(x))
            for x in calls
        ]
        self._dtype, self._held = dtype, (calls, held)
        self._calls = Calls(len(calls), (ProgramCall * len(calls))(*kinds))

    def run(self) -> None:
        """Make the calls in turn."""
        run("run", self._dtype, self._calls)
