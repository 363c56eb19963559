"""Lanes: a long text cut into B contiguous parts that are read side by side, each by its own row of a state.

    tokens  t0 t1 t2 t3 t4 t5 t6 t7 t8      lane 0 reads t0 t1 t2 t3 and predicts t1 t2 t3 t4
    lanes   |----- 0 ----|----- 1 ----|     lane 1 reads t4 t5 t6 t7 and predicts t5 t6 t7 t8

A row's state after a window is its state before the next. The state is reset before an `<eod>` is read, so that
every document begins with a fresh state.

Lanes at the same places in every pass over the text would cut the text at the same borders and show a model the same
neighbours side by side. With an offset drawn for each pass, the text is read as a circle from another place on: its
first step follows its last one, after a reset.
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

NOT_COUNTED = -100  # torch's cross-entropy ignores this target


class LaneWindow(NamedTuple):
    """The steps [start, stop) of all lanes.

    >>> import torch
    >>> window = LaneWindow(torch.tensor([[1, 2]]), torch.tensor([[2, 3]]), resets=None)
    >>> inputs, targets, resets = window.to(torch.device("cpu"))
    >>> targets
    tensor([[2, 3]])
    """

    inputs: Tensor  # (B, T) int64
    targets: Tensor  # (B, T) int64: the tokens that follow
    resets: Tensor | None  # (B, T) bool: reset the row's state before this step; None: nowhere

    def to(self, device: torch.device) -> LaneWindow:
        """The window on a device."""
        return LaneWindow(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]


class TokenStream:
    """The `steps = len(tokens) - 1` steps of a text, in windows that may begin anywhere: step t reads token t.

    Errors: `UserError` for fewer than 2 tokens.

    >>> stream = TokenStream(np.arange(10, 16))
    >>> window = stream.window(np.array([0, 3]), length=3)
    >>> window.inputs, window.targets[1], window.resets  # the second row begins the text anew
    (tensor([[10, 11, 12],
            [13, 14, 10]]), tensor([14, 15, 11]), tensor([[False, False, False],
            [False, False,  True]]))
    """

    def __init__(self, tokens: Tokens, eod: int | None = None) -> None:
        if len(tokens) < 2:
            what, remedy = "the text is too short", "give more text"
            raise UserError(what, expected="at least 2 tokens", got=len(tokens), remedy=remedy)
        self.steps, self.eod = len(tokens) - 1, eod
        self._reader = Reader(tokens)

    def window(self, begins: npt.NDArray[np.integer[Any]], length: int) -> LaneWindow:
        """`length` steps from each of `begins` (B,) on; after its last step the text begins anew, with a reset."""
        steps = begins[:, None] + np.arange(length)  # (B, T)
        at, anew = steps % self.steps, steps == self.steps
        inputs, targets = (torch.from_numpy(self._reader[tokens].astype(np.int64)) for tokens in (at, at + 1))
        resets = resets_of(inputs, self.eod)
        if anew.any():
            resets = torch.from_numpy(anew) if resets is None else resets | torch.from_numpy(anew)
        return LaneWindow(inputs, targets, resets)


class Lanes:
    """`tokens` in `lanes` contiguous lanes of `steps = (len(tokens) - 1) // lanes` steps each; `mine` are read.

    The first lane begins at the beginning of the text; with a `seed`, every pass but the first begins at an offset that
    is drawn from the seed and the number of the pass. Windows can be read in any order, so that a resumed training
    needs the number of its step alone.
    Errors: `UserError` where a lane would have fewer than `window` steps.

    >>> window = Lanes(np.arange(9), lanes=2).window(0, 4)
    >>> window.inputs
    tensor([[0, 1, 2, 3],
            [4, 5, 6, 7]])
    >>> window.targets
    tensor([[1, 2, 3, 4],
            [5, 6, 7, 8]])
    """

    def __init__(self, tokens: Tokens, lanes: int, *, eod: int | None = None, window: int = 1, seed: int | None = None):
        self.lanes, self.steps, self.seed = lanes, (len(tokens) - 1) // lanes, seed
        if self.steps < window:
            raise UserError(
                "the text is too short",
                expected=f"at least {lanes * window + 1} tokens for {lanes} lanes of {window} steps",
                got=len(tokens),
                remedy="give more text, or take fewer lanes or a shorter window",
            )
        self.mine = np.arange(lanes)
        self._stream = TokenStream(tokens, eod)

    def window(
        self, start: int, stop: int, epoch: int = 0, lanes: npt.NDArray[np.integer[Any]] | None = None
    ) -> LaneWindow:
        """The steps [start, stop) of `lanes`, or else mine, in a pass over the text, 0 <= start < stop <= steps."""
        assert 0 <= start < stop <= self.steps
        begins = self._offset(epoch) + (self.mine if lanes is None else lanes) * self.steps + start
        return self._stream.window(begins, stop - start)

    def _offset(self, epoch: int) -> int:
        if self.seed is None or epoch == 0:
            return 0
        return int(np.random.default_rng([self.seed, epoch]).integers(self._stream.steps))


def evaluation_windows(
    tokens: Tokens, lanes: int, window: int, *, burn_in: int = 0, eod: int | None = None
) -> Iterator[LaneWindow]:
    """Windows in which each of the tokens 1 ... N-1 is a counted target exactly once; all other targets are -100.

    The state should be fresh before the first window, and is carried from window to window. Every lane but the first
    begins in the middle of the text, and therefore first reads up to `burn_in` tokens before its own part without
    counting them. One lane is one exact pass over the text. Errors: `UserError` for fewer than 2 tokens.

    >>> for window in evaluation_windows(np.arange(7), lanes=2, window=3, burn_in=1):
    ...     print(window.targets.tolist())
    [[1, 2, 3], [-100, 4, 5]]
    [[-100], [6]]
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
    """The steps (B, T) bool of inputs (B, T) before which a row's state is reset; None where there are none."""
    if eod is None:
        return None
    borders = inputs == eod
    return borders if bool(borders.any()) else None
