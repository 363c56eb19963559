"""What the calls of the compiled core's arenas have in common: their fields, and how rows draw their tokens."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from torch import Tensor

from elman.arrays import Floats, Numbers
from elman.decode.arena import Draw, WrittenRows
from elman.errors import UserError
from elman.kernels.native.arena import ArenaDraw


class DrawnSteps:
    """The fields of `ArenaWriting` for steps of some rows, from the step `first` of their draws on."""

    def __init__(
        self, draws: Sequence[Draw], steps: int, *, banned: Sequence[int], end: int | None, first: int = 0
    ) -> None:
        R = len(draws)
        self._options = (ArenaDraw * R)(*map(_options_of, draws))
        uniforms = [draw.uniforms[first : first + steps] for draw in draws]
        self._tokens, self._counts = np.full((R, steps), -1), np.zeros(R, np.int64)
        self._below, self._sums = np.zeros((R, steps)), np.ones((R, steps))
        self.fields: dict[str, Any] = {
            "steps": steps,
            "uniforms": np.array(uniforms, dtype=np.float64).reshape(R, steps),
            "draws": ctypes.addressof(self._options),
            "banned": np.array(banned, np.int64),
            "banned_count": len(banned),
            "end": -1 if end is None else end,
            "written": self._tokens,
            "below": self._below,
            "sums": self._sums,
            "counts": self._counts,
        }

    @property
    def rows(self) -> WrittenRows:
        """What the core wrote."""
        counts = np.where(self._counts < 0, -1 - self._counts, self._counts)
        return WrittenRows(self._tokens, self._below - np.log(self._sums), counts)


def fill(given: ctypes.Structure, fields: dict[str, Any]) -> None:
    """Set fields of a call: arrays and tensors as the addresses of their first numbers."""
    for field, value in fields.items():
        if isinstance(value, Tensor):
            value = value.data_ptr()
        setattr(given, field, address(value) if isinstance(value, np.ndarray) else value)


def address(array: Numbers | Floats) -> int:
    """Of an array's first number."""
    assert array.flags.c_contiguous
    return cast(int, array.__array_interface__["data"][0])


def check_tokens(given: Numbers, vocab_size: int) -> None:
    """Raise `UserError` for a token beyond the vocabulary."""
    if len(given) and (given.min() < 0 or given.max() >= vocab_size):
        expected = f"from 0 to {vocab_size - 1} (the vocabulary)"
        raise UserError("tokens", expected=expected, got=f"{given.min()} to {given.max()}")


def _options_of(draw: Draw) -> ArenaDraw:
    floor = math.log(draw.min_p) if draw.min_p else -math.inf
    return ArenaDraw(draw.temperature, 2.0 if draw.top_p is None else draw.top_p, floor, draw.top_k or 0)
