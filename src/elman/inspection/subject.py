"""What is looked at: a run's model, the same model before it learnt anything, and a text that it reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.data.lanes import resets_of
from elman.data.tokenizers import Tokenizer
from elman.models import LanguageModel

LEAST_STEPS = 8  # of a window


@dataclass(frozen=True)
class Subject:
    """Everything that a look needs."""

    path: Path  # of the run
    model: LanguageModel
    tokenizer: Tokenizer
    train: Any  # the settings of its training; None where there is a model folder alone
    fresh: LanguageModel  # the model before its training
    fresh_name: str
    tokens: npt.NDArray[np.int64]  # (N,)
    text: str  # which one
    text_name: str  # for the page: its file's name

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is read, for people."""
        return [
            ("text", self.text_name),
            ("tokens looked at", f"{len(self.tokens):,}, {self.model.vocab_size:,} different"),
        ]

    @property
    def about(self) -> dict[str, Any]:
        """What is read, for programs."""
        return {"text": self.text, "untrained": self.fresh_name}

    @property
    def models(self) -> dict[str, LanguageModel]:
        """Side by side."""
        return {"trained": self.model, self.fresh_name: self.fresh}

    def windows(self, rows: int, steps: int, *, apart: bool = False) -> Tensor:
        """(B, T): windows of the text, evenly spread over it, with no document's border inside where that can be.

        T is `steps` or, where the text or its documents are shorter, as much less as it takes; so is B. Documents of
        less than a few tokens are read one after another, with `resets`. Windows of a short text overlap, unless they
        are to be `apart`: then there are fewer.
        """
        wanted = min(steps, len(self.tokens))
        starts = _starts(self.tokens, self.tokenizer.eod, steps)
        while not len(starts) and steps // 2 >= LEAST_STEPS:
            steps //= 2
            starts = _starts(self.tokens, self.tokenizer.eod, steps)
        if not len(starts):
            steps, starts = wanted, _starts(self.tokens, None, wanted)
        chosen = starts[np.unique(np.linspace(0, len(starts) - 1, rows).astype(int))]
        if apart:
            chosen = _apart(chosen, steps)
        return torch.from_numpy(self.tokens[chosen[:, None] + np.arange(steps)])

    def resets(self, tokens: Tensor) -> Tensor | None:
        """Where a document begins in tokens (B, T) of the text, for `model.read`: (B, T), or None where it does not."""
        return resets_of(tokens, self.tokenizer.eod)

    def pieces(self, tokens: npt.NDArray[np.int64] | Tensor) -> list[str | None]:
        """The text of every token (T,), None for a document's end."""
        tokenizer, previous, found = self.tokenizer, None, []
        for token in tokens.tolist():
            text = None if token == tokenizer.eod else tokenizer.spell(token, previous).decode("utf-8", "replace")
            found.append(text)
            previous = token
        return found

    def symbols(self, tokens: Tensor) -> list[str]:
        """Every token (T,) as it is shown to people."""
        return [self.tokenizer.symbol(token) for token in tokens.tolist()]


def _starts(tokens: npt.NDArray[np.int64], eod: int | None, steps: int) -> npt.NDArray[np.int64]:
    """Where a window of so many steps can begin without a border in it."""
    if len(tokens) < steps:
        return np.zeros(0, np.int64)
    borders = np.concatenate(([0], np.cumsum(tokens == (-1 if eod is None else eod))))
    return np.flatnonzero(borders[steps:] == borders[:-steps])


def _apart(starts: npt.NDArray[np.int64], steps: int) -> npt.NDArray[np.int64]:
    """Of rising starts, those at which a window of so many steps overlaps none before it."""
    kept: list[int] = []
    for start in starts.tolist():
        if not kept or start - kept[-1] >= steps:
            kept.append(start)
    return np.array(kept)
