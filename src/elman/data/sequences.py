"""Sequences of any length, side by side in one stretch of tokens, each followed by `<eod>`; and pairs of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.data.tokenfile import Reader, TokenFile, Tokens

Integers = npt.NDArray[np.int64]

SCAN = 1 << 24  # tokens looked through at a time for where the sequences end


class Sequences:
    """N sequences of ids. `lengths` (N,) are without the `<eod>` that follows each."""

    def __init__(self, tokens: Tokens, eod: int | None):
        assert eod is not None, "pairs are encoded with an <eod>"
        self.eod = eod
        self._reader = Reader(tokens)
        ends = _ends(tokens, eod)
        self._starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])[: len(ends)]
        self.lengths: Integers = ends - self._starts

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        start = self._starts[index]
        return self._reader[np.arange(start, start + self.lengths[index])]

    def keep(self, indices: Integers) -> None:
        """Forget all sequences but these."""
        self._starts, self.lengths = self._starts[indices], self.lengths[indices]

    def padded(self, indices: Integers) -> tuple[Integers, Integers]:
        """Ids (B, S) of some sequences, each with its `<eod>` and then more of them, and lengths (B,) with one."""
        lengths = self.lengths[indices] + 1
        steps = np.arange(int(lengths.max()))
        at = self._starts[indices, None] + np.minimum(steps, lengths[:, None] - 1)  # (B, S): the last is an <eod>
        return self._reader[at].astype(np.int64), lengths


class PairPart:
    """Pairs of id sequences: the training or the validation part of a parallel corpus.

    `texts` are the raw pairs where they are kept (validation), for metrics that compare texts.
    """

    def __init__(self, source: Sequences, target: Sequences, texts: list[tuple[str, str]] | None = None):
        assert len(source) == len(target)
        assert texts is None or len(texts) == len(source)
        self.source, self.target = source, target
        self._texts = texts

    def __len__(self) -> int:
        return len(self.source)

    @property
    def source_lengths(self) -> Integers:
        """Tokens of every source (N,), without the `<eod>`."""
        return self.source.lengths

    @property
    def target_lengths(self) -> Integers:
        """Tokens of every target (N,), without the `<eod>`."""
        return self.target.lengths

    def pair(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The ids of one source and of its target, without the `<eod>`s."""
        return self.source[index], self.target[index]

    def texts(self) -> Iterator[tuple[str, str]]:
        """The raw texts of every pair, in order. A training part keeps none of them."""
        assert self._texts is not None, "a training part does not keep its text"
        return iter(self._texts)

    def epoch(self, epoch: int) -> PairPart:
        """The pairs of an epoch: the same in each."""
        return self

    def limit(self, max_length: int | None) -> int:
        """Leave out the pairs with more tokens than that on either side; how many these are."""
        before = len(self)
        if max_length is not None:
            kept = np.flatnonzero(np.maximum(self.source_lengths, self.target_lengths) <= max_length)
            if len(kept) < before:
                self.source.keep(kept)
                self.target.keep(kept)
                if self._texts is not None:
                    self._texts = [self._texts[at] for at in kept]
        return before - len(self)


def _ends(tokens: Tokens, eod: int) -> Integers:
    """The positions (N,) of the `<eod>`s."""
    if not isinstance(tokens, TokenFile):
        return np.flatnonzero(tokens == eod)
    starts = range(0, len(tokens), SCAN)
    # A map for each stretch: what was read of one is let go.
    found = [np.flatnonzero(np.asarray(tokens)[start : start + SCAN] == eod) + start for start in starts]
    return np.concatenate([np.zeros(0, np.int64), *found])
