"""Pairs of id sequences, and batches of them by their number of tokens: nearly equal lengths together, padded.

A batch costs what its padded size costs, so that is what is held constant: rows * (longest + 1) of the larger side.
Every epoch has its own plan, a pure function of (seed, epoch, lengths): a training can go on in the middle of an
epoch with two numbers, the epoch's and the batch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.data.lanes import NOT_COUNTED
from elman.data.tokenfile import Reader, TokenFile, Tokens
from elman.data.tokenizers import Tokenizer, Tokenizers

Integers = npt.NDArray[np.int64]
Texts = list[tuple[str, str]]  # sources and targets

SCAN = 1 << 24  # tokens looked through at a time for where the sequences end
BLUR = 0.1  # of the length of both sides together: pairs that differ by less may change places


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

    def __init__(self, source: Sequences, target: Sequences, texts: Texts | None = None):
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


class PairBatch(NamedTuple):
    """B pairs. The target t1 ... tn is foretold from `<eod>` t1 ... tn, and `<eod>` is the last to be foretold."""

    source: Tensor  # (B, S) int64: s1 ... sm <eod>, then padding (more of <eod>)
    source_lengths: Tensor  # (B,) int64: m + 1
    inputs: Tensor  # (B, T) int64: <eod> t1 ... tn, then padding (more of <eod>)
    targets: Tensor  # (B, T) int64: t1 ... tn <eod>, then NOT_COUNTED
    target_lengths: Tensor  # (B,) int64: n + 1

    def to(self, device: torch.device) -> PairBatch:
        """The batch on a device."""
        return PairBatch(*(part.to(device) for part in self))


class Parts(Protocol):
    """What has pairs for every epoch: the same in each, or fresh ones."""

    def epoch(self, epoch: int) -> PairPart:
        """The pairs of an epoch."""


class TokenBatches:
    """A part in batches of at most `tokens_per_batch` tokens, padding included, on the larger side.

    A pair that is longer than that is a batch by itself. Each pair comes once an epoch. Pairs of nearly the same
    lengths are put together anew in every epoch, and the batches come in another order.
    """

    def __init__(self, part: Parts, tokens_per_batch: int, eod_source: int, eod_target: int, seed: int = 0):
        assert tokens_per_batch > 0
        self.part, self.tokens_per_batch, self.seed = part, tokens_per_batch, seed
        self.eods = eod_source, eod_target
        self._planned: int | None = None

    def count(self, epoch: int) -> int:
        """How many batches an epoch has."""
        return len(self.plan(epoch))

    def plan(self, epoch: int) -> list[Integers]:
        """The indices (B,) of each batch's pairs, in the order in which the batches come."""
        if self._planned != epoch:
            self._pairs = self.part.epoch(epoch)
            rng = np.random.default_rng([self.seed, epoch])
            order = _nearly_by_length(self._pairs, rng)
            batches = _cut(order, _sizes(self._pairs)[order], self.tokens_per_batch)
            self._plan = [batches[at] for at in rng.permutation(len(batches))]
            self._planned = epoch
        return self._plan

    def batch(self, epoch: int, index: int) -> PairBatch:
        """The batch at a place of an epoch's plan."""
        rows = self.plan(epoch)[index]
        return pair_batch(self._pairs, rows, *self.eods)


def evaluation_batches(
    part: PairPart, tokens_per_batch: int, eod_source: int, eod_target: int
) -> Iterator[tuple[Integers, PairBatch]]:
    """Every pair once, the shortest first: the pairs' indices (B,) in the part, and the batch."""
    order = np.lexsort((part.source_lengths + part.target_lengths, _sizes(part)))
    for rows in _cut(order, _sizes(part)[order], tokens_per_batch):
        yield rows, pair_batch(part, rows, eod_source, eod_target)


def pair_batch(part: PairPart, rows: Integers, eod_source: int, eod_target: int) -> PairBatch:
    """The pairs at `rows` (B,) of a part, as a model and a loss take them."""
    assert (part.source.eod, part.target.eod) == (eod_source, eod_target)
    source, source_lengths = part.source.padded(rows)
    target, target_lengths = part.target.padded(rows)
    inputs = np.roll(target, 1, axis=1)
    inputs[:, 0] = eod_target
    padding = np.arange(target.shape[1]) >= target_lengths[:, None]  # (B, T)
    target[padding] = NOT_COUNTED
    arrays = (source, source_lengths, inputs, target, target_lengths)
    return PairBatch(*map(torch.from_numpy, arrays))


def encode_texts(texts: Texts, tokenizers: Tokenizers, *, keep: bool = True) -> PairPart:
    """The pairs in memory; `keep` their texts too."""
    source, target = (_encode((text[side] for text in texts), tokenizers[side]) for side in (0, 1))
    return PairPart(source, target, texts if keep else None)


def _encode(texts: Iterable[str], tokenizer: Tokenizer) -> Sequences:
    eod = np.array([tokenizer.eod], tokenizer.dtype)
    arrays = [np.zeros(0, tokenizer.dtype)]
    for text in texts:
        arrays += [tokenizer.encode_array(text), eod]
    return Sequences(np.concatenate(arrays), tokenizer.eod)


def _sizes(part: PairPart) -> Integers:
    """The steps (N,) that a pair's larger side takes: its tokens and `<eod>`."""
    return np.maximum(part.source_lengths, part.target_lengths) + 1


def _nearly_by_length(part: PairPart, rng: np.random.Generator) -> Integers:
    """An order (N,) of the pairs: by the larger side, then by both, these being a little blurred by chance.

    The second key runs up and down in turn, so that a batch across two values of the first has one value of it.
    To blur the first too would cost much padding: a token is a tenth of a sentence.
    """
    first = _sizes(part)
    both = (part.source_lengths + part.target_lengths) * rng.uniform(1 - BLUR, 1 + BLUR, len(part))
    second = (both * 1024).astype(np.int64)
    second = np.where(first % 2, second, -second)
    width = int(np.abs(second).max(initial=0)) + 1
    return np.argsort(first * (2 * width) + second + width, kind="stable")


def _cut(order: Integers, sizes: Integers, most: int) -> list[Integers]:
    """`order` (N,) in stretches of rows * largest <= most; sizes (N,) stand in that order."""
    batches, start = [], 0
    while start < len(order):
        window = sizes[start : start + max(1, most // int(sizes[start]))]  # more rows than these never fit
        costs = np.maximum.accumulate(window) * np.arange(1, len(window) + 1)
        rows = max(1, int(np.searchsorted(costs, most, side="right")))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def _ends(tokens: Tokens, eod: int) -> Integers:
    """The positions (N,) of the `<eod>`s."""
    if not isinstance(tokens, TokenFile):
        return np.flatnonzero(tokens == eod)
    starts = range(0, len(tokens), SCAN)
    # A map for each stretch: what was read of one is let go.
    found = [np.flatnonzero(np.asarray(tokens)[start : start + SCAN] == eod) + start for start in starts]
    return np.concatenate([np.zeros(0, np.int64), *found])
