"""Pairs of token sequences, in padded batches of nearly equal lengths.

All batches have about the same padded size, rows * (longest + 1) of the larger side, because a batch costs as much
as its padded size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.data.epoch_batches import EpochBatches, shuffled
from elman.data.lanes import NOT_COUNTED
from elman.data.length_order import by_lengths, nearly_by_lengths, sizes_of
from elman.data.tokenfile import Reader, Tokens
from elman.data.tokenizers import Tokenizer, Tokenizers
from elman.distributed import ALONE, Ranks

if TYPE_CHECKING:
    from elman.data.endless import FreshPairs

Integers = npt.NDArray[np.int64]
Texts = list[tuple[str, str]]  # sources and targets

SCAN = 1 << 24  # tokens that are searched for `<eod>` at a time


class Sequences:
    """N sequences of tokens; `lengths` (N,) do not count the `<eod>` after each sequence."""

    def __init__(self, tokens: Tokens, eod: int | None):
        assert eod is not None, "pairs are encoded with an <eod>"
        self.eod = eod
        self._reader = Reader(tokens)
        # A memory map for each stretch: the pages that were read of a stretch are let go with its map.
        starts = range(0, len(tokens), SCAN)
        found = [np.flatnonzero(np.asarray(tokens)[start : start + SCAN] == eod) + start for start in starts]
        ends = np.concatenate([np.zeros(0, np.int64), *found])
        self._starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])[: len(ends)]
        self.lengths: Integers = ends - self._starts

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        start = self._starts[index]
        return self._reader[np.arange(start, start + self.lengths[index])]

    def keep(self, indices: Integers) -> None:
        """Keep the sequences at these indices alone."""
        self._starts, self.lengths = self._starts[indices], self.lengths[indices]

    def padded(self, indices: Integers) -> tuple[Integers, Integers]:
        """Tokens (B, S) of some sequences, each padded with one `<eod>` or more, and lengths (B,) that count one."""
        lengths = self.lengths[indices] + 1
        steps = np.arange(int(lengths.max()))
        at = self._starts[indices, None] + np.minimum(steps, lengths[:, None] - 1)  # (B, S)
        return self._reader[at].astype(np.int64), lengths


class PairPart:
    """Pairs of token sequences: the training part or the validation part of a parallel corpus.

    The validation part keeps its `texts` for metrics that compare texts.

    >>> from elman.data import encode_texts
    >>> from elman.data.tokenizers import Tokenizers, train_tokenizer
    >>> digits, letters = (train_tokenizer("char", [text], eod=True) for text in ("0123456789", "onetwhr"))
    >>> part = encode_texts([("1", "one"), ("2", "two"), ("3", "three")], Tokenizers(digits, letters))
    >>> len(part), part.target_lengths, letters.decode(part.pair(2)[1])
    (3, array([3, 3, 5]), 'three')
    """

    def __init__(self, source: Sequences, target: Sequences, texts: Texts | None = None):
        assert len(source) == len(target)
        assert texts is None or len(texts) == len(source)
        self.source, self.target = source, target
        self._texts = texts

    def __len__(self) -> int:
        return len(self.source)

    @property
    def source_lengths(self) -> Integers:
        """The tokens of every source (N,), without `<eod>`."""
        return self.source.lengths

    @property
    def target_lengths(self) -> Integers:
        """The tokens of every target (N,), without `<eod>`."""
        return self.target.lengths

    def pair(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The tokens of one source and of its target, without `<eod>`."""
        return self.source[index], self.target[index]

    def texts(self) -> Iterator[tuple[str, str]]:
        """The raw texts of every pair of a validation part, in order."""
        assert self._texts is not None, "a training part does not keep its text"
        return iter(self._texts)

    def epoch(self, epoch: int) -> PairPart:
        """The pairs of an epoch: the same pairs in every epoch."""
        return self

    def limit(self, max_length: int | None) -> int:
        """Leave out the pairs with more than `max_length` tokens on a side, and return how many they are."""
        before = len(self)
        if max_length is not None:
            kept = np.flatnonzero(np.maximum(self.source_lengths, self.target_lengths) <= max_length)
            self.source.keep(kept)
            self.target.keep(kept)
            if self._texts is not None:
                self._texts = [self._texts[at] for at in kept]
        return before - len(self)


class PairBatch(NamedTuple):
    """B pairs. The inputs `<eod>` t1 ... tn predict the targets t1 ... tn `<eod>`.

    >>> from elman.data import TokenBatches, encode_texts
    >>> from elman.data.tokenizers import Tokenizers, train_tokenizer
    >>> digits, letters = (train_tokenizer("char", [text], eod=True) for text in ("12", "onetw"))
    >>> part = encode_texts([("1", "one"), ("12", "onetwo")], Tokenizers(digits, letters))
    >>> batch = TokenBatches(part, tokens_per_batch=64).batch(0, 0)
    >>> shorter = batch.target_lengths.argmin()
    >>> letters.eod, batch.inputs[shorter], batch.targets[shorter]
    (6, tensor([6, 2, 1, 0, 6, 6, 6]), tensor([   2,    1,    0,    6, -100, -100, -100]))
    """

    source: Tensor  # (B, S) int64: s1 ... sm <eod>, then <eod> as padding
    source_lengths: Tensor  # (B,) int64: m + 1
    inputs: Tensor  # (B, T) int64: <eod> t1 ... tn, then <eod> as padding
    targets: Tensor  # (B, T) int64: t1 ... tn <eod>, then NOT_COUNTED
    target_lengths: Tensor  # (B,) int64: n + 1

    def to(self, device: torch.device) -> PairBatch:
        """The batch on a device."""
        return PairBatch(*(part.to(device) for part in self))


class TokenBatches(EpochBatches[PairBatch]):
    """A part in batches of at most `tokens_per_batch` tokens, padding included, on the larger side.

    A longer pair is a batch by itself. Each pair comes once an epoch. Every epoch groups pairs of nearly equal lengths
    anew and shuffles the batches.

    >>> from elman.data.tokenizers import Tokenizers, train_tokenizer
    >>> tokenizer = train_tokenizer("char", ["ab"], eod=True)
    >>> part = encode_texts([("a" * n, "b" * n) for n in range(1, 9)], Tokenizers(tokenizer, tokenizer))
    >>> batches = TokenBatches(part, tokens_per_batch=16)
    >>> sorted(tuple(batches.batch(0, number).source.shape) for number in range(batches.count(0)))
    [(1, 9), (2, 6), (2, 8), (3, 4)]
    """

    def __init__(self, part: PairPart | FreshPairs, tokens_per_batch: int, seed: int = 0):
        assert tokens_per_batch > 0
        super().__init__(seed)
        self.part, self.tokens_per_batch = part, tokens_per_batch

    def _cut(self, epoch: int, rng: np.random.Generator) -> list[Integers]:
        self._pairs = self.part.epoch(epoch)
        order = nearly_by_lengths(self._pairs, self.tokens_per_batch, rng)
        return shuffled(cut_batches(order, sizes_of(self._pairs)[order], self.tokens_per_batch), rng)

    def _batch(self, rows: Integers) -> PairBatch:
        return pair_batch(self._pairs, rows)


def evaluation_batches(
    part: PairPart, tokens_per_batch: int, ranks: Ranks = ALONE
) -> Iterator[tuple[Integers, PairBatch]]:
    """Every pair once on one rank, the shortest first: the indices (B,) of a batch's pairs, and the batch."""
    order = by_lengths(part)
    for rows in ranks.mine(cut_batches(order, sizes_of(part)[order], tokens_per_batch)):
        yield rows, pair_batch(part, rows)


def pair_batch(part: PairPart, rows: Integers) -> PairBatch:
    """The batch of the pairs at `rows` (B,) of a part."""
    source, source_lengths = part.source.padded(rows)
    target, target_lengths = part.target.padded(rows)
    inputs = np.roll(target, 1, axis=1)
    inputs[:, 0] = part.target.eod
    padding = np.arange(target.shape[1]) >= target_lengths[:, None]  # (B, T)
    target[padding] = NOT_COUNTED
    return PairBatch(*map(torch.from_numpy, (source, source_lengths, inputs, target, target_lengths)))


def encode_texts(texts: Texts, tokenizers: Tokenizers, *, keep: bool = True) -> PairPart:
    """The tokens of pairs, in RAM; `keep` says whether the part keeps the texts too.

    >>> from elman.data.tokenizers import Tokenizers, train_tokenizer
    >>> tokenizer = train_tokenizer("char", ["abc"], eod=True)
    >>> part = encode_texts([("ab", "ba"), ("cab", "bac")], Tokenizers(tokenizer, tokenizer))
    >>> part.pair(1)
    (array([2, 0, 1], dtype=uint16), array([1, 0, 2], dtype=uint16))
    >>> [*part.texts()][0]
    ('ab', 'ba')
    """
    source, target = (_encode((text[side] for text in texts), tokenizers[side]) for side in (0, 1))
    return PairPart(source, target, texts if keep else None)


def _encode(texts: Iterable[str], tokenizer: Tokenizer) -> Sequences:
    eod = np.array([tokenizer.eod], tokenizer.dtype)
    arrays = [np.zeros(0, tokenizer.dtype)]
    for text in texts:
        arrays += [tokenizer.encode_array(text), eod]
    return Sequences(np.concatenate(arrays), tokenizer.eod)


def cut_batches(order: Integers, sizes: Integers, most: int) -> list[Integers]:
    """Cut `order` (N,) into batches of rows * largest size <= most; `sizes` (N,) are in the same order."""
    batches, start = [], 0
    while start < len(order):
        window = sizes[start : start + max(1, most // int(sizes[start]))]  # more rows never fit
        costs = np.maximum.accumulate(window) * np.arange(1, len(window) + 1)
        rows = max(1, int(np.searchsorted(costs, most, side="right")))
        batches.append(order[start : start + rows])
        start += rows
    return batches
