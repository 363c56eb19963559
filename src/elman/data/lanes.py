"""Lanes: a long text cut into B contiguous pieces that are read side by side, each by its own row of a state.

    tokens  t0 t1 t2 t3 t4 t5 t6 t7 t8      lane 0 reads t0 t1 t2 t3, to foretell t1 t2 t3 t4
    lanes   |----- 0 ----|----- 1 ----|     lane 1 reads t4 t5 t6 t7, to foretell t5 t6 t7 t8

The state a row has after one window is the state it begins the next with. It is reset before an `<eod>` is
read: a document is read with a fresh memory that knows nothing but that a document begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.data.tokenfile import Reader, Tokens
from elman.errors import UserError

NOT_COUNTED = -100  # a target that torch's cross-entropy passes over


class LaneWindow(NamedTuple):
    """The steps [start, stop) of all lanes."""

    inputs: Tensor  # (B, T) int64
    targets: Tensor  # (B, T) int64: the tokens that follow
    resets: Tensor | None  # (B, T) bool: give the row a fresh memory before it reads this; None: nowhere

    def to(self, device: torch.device) -> LaneWindow:
        """The window on a device."""
        return LaneWindow(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]


class Lanes:
    """`tokens` in `lanes` contiguous lanes of `steps = (len(tokens) - 1) // lanes` steps each.

    Any window can be read at any time, so an exact resume needs the number of a step and nothing else. At step
    0 the state should be fresh. Errors: `UserError` where a lane would have fewer than `window` steps.
    """

    def __init__(self, tokens: Tokens, lanes: int, *, eod: int | None = None, window: int = 1):
        self.lanes, self.eod = lanes, eod
        self._reader = Reader(tokens)
        self.steps = (len(tokens) - 1) // lanes
        if self.steps < max(window, 1):
            raise UserError(
                "the text is too short",
                expected=f"at least {lanes * max(window, 1) + 1} tokens for {lanes} lanes of {max(window, 1)} steps",
                got=len(tokens),
                remedy="give more text, or take fewer lanes or a shorter window",
            )

    def window(self, start: int, stop: int) -> LaneWindow:
        """The steps [start, stop) of every lane, 0 <= start < stop <= steps."""
        assert 0 <= start < stop <= self.steps
        at = np.arange(self.lanes)[:, None] * self.steps + np.arange(start, stop + 1)  # (B, T + 1)
        return _window(self._reader[at], self.eod)


class TokenStream:
    """The `steps = len(tokens) - 1` steps of a text, in windows that begin anywhere.

    Errors: `UserError` for fewer than 2 tokens.
    """

    def __init__(self, tokens: Tokens, eod: int | None = None) -> None:
        if len(tokens) < 2:
            what, remedy = "the text is too short", "give more text"
            raise UserError(what, expected="at least 2 tokens", got=len(tokens), remedy=remedy)
        self.steps, self.eod = len(tokens) - 1, eod
        self._reader = Reader(tokens)

    def window(self, begins: npt.NDArray[np.integer[Any]], length: int) -> LaneWindow:
        """`length` steps from each of `begins` (B,) on. What would lie beyond the text repeats its last token."""
        at = begins[:, None] + np.arange(length + 1)  # (B, T + 1)
        return _window(self._reader[np.minimum(at, self.steps)], self.eod)


def evaluation_windows(
    tokens: Tokens, lanes: int, window: int, *, burn_in: int = 0, eod: int | None = None
) -> Iterator[LaneWindow]:
    """Windows in which each of the tokens 1 ... N-1 is a counted target exactly once; the others are -100.

    The state is fresh before the first window and carried from one to the next. Every lane but the first
    begins in the middle of the text, so it reads up to `burn_in` tokens before its own part without counting
    them. One lane is one exact pass over the text. Errors: `UserError` for fewer than 2 tokens.
    """
    text = TokenStream(tokens, eod)
    lanes = min(lanes, text.steps)
    bounds = np.arange(lanes + 1) * text.steps // lanes
    counted_from, counted_to = bounds[:-1, None], bounds[1:, None]  # (B, 1)
    begins = np.maximum(bounds[:-1] - burn_in, 0)
    steps = int((bounds[1:] - begins).max())
    for start in range(0, steps, window):
        length = min(window, steps - start)
        at = begins[:, None] + np.arange(start, start + length)  # (B, T)
        counted = (counted_from <= at) & (at < counted_to)
        read = text.window(begins + start, length)
        yield read._replace(targets=read.targets.masked_fill(torch.from_numpy(~counted), NOT_COUNTED))


def resets_of(inputs: Tensor, eod: int | None) -> Tensor | None:
    """Where a row's memory is made fresh before it reads inputs (B, T): (B, T) bool, or None where that is nowhere."""
    if eod is None:
        return None
    borders = inputs == eod
    return borders if bool(borders.any()) else None


def _window(ids: npt.NDArray[Any], eod: int | None) -> LaneWindow:
    """Inputs and targets from `ids` (B, T + 1)."""
    inputs = torch.from_numpy(ids[:, :-1].astype(np.int64))
    targets = torch.from_numpy(ids[:, 1:].astype(np.int64))
    return LaneWindow(inputs, targets, resets_of(inputs, eod))
