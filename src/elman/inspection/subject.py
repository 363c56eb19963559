"""A language model under the lens: a run's model, the same model before its training, and a text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.data.lanes import resets_of
from elman.data.tokenizers import Tokenizer
from elman.inspection.look import Observed
from elman.inspection.reading import TextReading, read_windows
from elman.lens.truncation import Truncation, truncation
from elman.models import LanguageModel

LEAST_STEPS = 8  # of a window
ROWS, STEPS = 8, 1024  # whose gradient is looked at: a trained model may learn from further back than 256 steps
LARGE = 2_000_000  # parameters from which on half as many rows are looked at
READ_ROWS, READ_STEPS = 16, 512  # that are read, for the contents of the memory
NAMED = 16  # tokens that name a passage
PASSAGES = 4  # of these windows, at most, whose beginnings are shown


class Excerpt(NamedTuple):
    """Rows of the text, the tokens that follow, and where documents begin: (B, T) each."""

    inputs: Tensor
    targets: Tensor
    resets: Tensor | None


@dataclass(frozen=True)
class Subject(Observed):
    """A run's language model, the same model before its training, and a text that both read.

    >>> import elman
    >>> run = elman.load("runs/demo")
    >>> subject = run.task.observe(run, [])
    >>> windows = subject.windows(rows=4, steps=16)
    >>> windows.shape, subject.pieces(subject.tokens[:7])
    (torch.Size([4, 16]), ['t', 'h', 'e', ' ', 'c', 'a', 't'])
    """

    model: LanguageModel
    fresh: LanguageModel
    tokenizer: Tokenizer
    train: Any  # the settings of the training; None for a model folder alone
    tokens: npt.NDArray[np.int64]  # (N,)

    def windows(self, rows: int, steps: int, *, apart: bool = False) -> Tensor:
        """(B, T): windows of the text, evenly spread over it, with no document's border inside where that can be.

        B and T are `rows` and `steps`, or less where the text or its documents are too short. Documents of less than
        `LEAST_STEPS` tokens are read one after another, with `resets`. Windows of a short text overlap, unless they are
        to be `apart`: then there are fewer.
        """
        wanted = min(steps, len(self.tokens))
        borders = np.concatenate(([0], np.cumsum(self.tokens == self.tokenizer.eod)))
        while not len(starts := _starts(borders, steps)) and steps // 2 >= LEAST_STEPS:
            steps //= 2
        if not len(starts):
            steps, starts = wanted, np.arange(len(self.tokens) - wanted + 1)
        chosen = starts[np.unique(np.linspace(0, len(starts) - 1, rows).astype(int))]
        if apart:
            chosen = _apart(chosen, steps)
        return torch.from_numpy(self.tokens[chosen[:, None] + np.arange(steps)])

    def rows(self, most: int) -> int:
        """So many rows whose gradient is looked at, or half as many of a large model."""
        return most if sum(parameter.numel() for parameter in self.model.parameters()) < LARGE else most // 2

    @cached_property
    def excerpt(self) -> Excerpt:
        """The text whose gradient is looked at."""
        windows = self.windows(self.rows(ROWS), STEPS + 1)
        return Excerpt(windows[:, :-1], windows[:, 1:], self.resets(windows[:, :-1]))

    @cached_property
    def read(self) -> Tensor:
        """(B, T): the windows of the `readings`."""
        return self.windows(READ_ROWS, READ_STEPS)

    @cached_property
    def passages(self) -> dict[int, str]:
        """The windows whose beginnings are shown, with names: of the second half, on which no unit is chosen."""
        B = len(self.read)
        rows = np.unique(np.linspace(B // 2, B - 1, PASSAGES).astype(int)).tolist() if B > 1 else [0]
        texts = ["".join(piece or "" for piece in self.pieces(self.read[row, :NAMED])) for row in rows]
        return {
            row: f"{n}, “{' '.join(text.split())} …”" for n, (row, text) in enumerate(zip(rows, texts, strict=True), 1)
        }

    @cached_property
    def readings(self) -> dict[str, TextReading]:
        """What both models do while they read, by the names of the models, the trained one first."""
        resets = self.resets(self.read)
        rows = list(self.passages)
        return {name: read_windows(model, self.read, resets, rows) for name, model in self.models.items()}

    @cached_property
    def whole(self) -> Truncation:
        """The trained model's gradient of all steps of the excerpt, and its cost."""
        inputs, targets, resets = self.excerpt
        return truncation(self.model, inputs, targets, resets=resets, windows=[inputs.shape[1]])

    def resets(self, tokens: Tensor) -> Tensor | None:
        """Where documents begin in tokens (B, T) of the text, for `model.read`: (B, T), or None where none does."""
        return resets_of(tokens, self.tokenizer.eod)

    def pieces(self, tokens: npt.NDArray[np.int64] | Tensor) -> list[str | None]:
        """The text of every token (T,), None for a document's end."""
        tokenizer, every = self.tokenizer, tokens.tolist()
        return [
            None if token == tokenizer.eod else tokenizer.spell(token, previous).decode("utf-8", "replace")
            for previous, token in zip([None, *every], every, strict=False)
        ]

    def symbols(self, tokens: Tensor) -> list[str]:
        """Every token (T,) as it is shown to people."""
        return [self.tokenizer.symbol(token) for token in tokens.tolist()]


def _starts(borders: npt.NDArray[np.int64], steps: int) -> npt.NDArray[np.int64]:
    """Where a window of so many steps can begin without a border in it; `borders` are counted before each token."""
    return np.flatnonzero(borders[steps:] == borders[:-steps])


def _apart(starts: npt.NDArray[np.int64], steps: int) -> npt.NDArray[np.int64]:
    """Of rising starts, those at which a window of so many steps overlaps none before it."""
    kept: list[int] = []
    for start in starts.tolist():
        if not kept or start - kept[-1] >= steps:
            kept.append(start)
    return np.array(kept)
