"""Sentences of words, characters and tags as numbers, in padded batches of nearly equal lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.data.batches import cut_batches
from elman.data.epoch_batches import EpochBatches, shuffled
from elman.data.lanes import NOT_COUNTED
from elman.data.spans import mended
from elman.data.tagged import TaggedSentence
from elman.data.vocabulary import PADDING, TagSet, Vocabulary
from elman.distributed import ALONE, Ranks

Integers = npt.NDArray[np.int64]

BLUR = 0.1  # sentences whose lengths differ by a smaller part may change places
MOST_CHARACTERS = 32  # of a word: of a longer one, those at both ends


class Vocabularies(NamedTuple):
    """All that turns a tagged sentence into numbers."""

    words: Vocabulary
    characters: Vocabulary
    tags: TagSet


class WordBatch(NamedTuple):
    """B sentences of up to T words, which have U different spellings of up to C characters."""

    words: Tensor  # (B, T) int64, the vocabulary's padding after the end of a sentence
    spelling: Tensor  # (B, T) int64: the row of `characters` of each word; 0 after the end
    characters: Tensor  # (U, C) int64, PADDING after the end of a word
    targets: Tensor  # (B, T) int64: tags; NOT_COUNTED after the end, and for a tag that the training did not have
    lengths: Tensor  # (B,) int64, at least 1

    def to(self, device: torch.device) -> WordBatch:
        """The batch on a device."""
        return WordBatch(*(part.to(device) for part in self))


class EncodedSentences:
    """Sentences of a word or more as numbers. Tags that break their scheme become those that spell the same spans."""

    def __init__(self, sentences: Sequence[TaggedSentence], vocabularies: Vocabularies) -> None:
        words, characters, tags = vocabularies
        tokens = [token for sentence in sentences for token in sentence.tokens]
        spellings = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
        targets = [
            tags.encode(mended(tagged, tags.scheme)) if tagged else [NOT_COUNTED] * len(words_)
            for words_, tagged in sentences
        ]
        self.lengths = _integers([len(sentence.tokens) for sentence in sentences])
        assert self.lengths.all(), "a sentence has a word or more"
        self._starts = np.cumsum(self.lengths) - self.lengths
        self._words, self._targets = _integers(words.encode(tokens)), _integers([tag for row in targets for tag in row])
        self._spelling = _integers([spellings[token] for token in tokens])
        self._characters, self._sizes = _padded([characters.encode(read_characters(token)) for token in spellings])
        self._padding = words.padding
        self.targets = int((self._targets != NOT_COUNTED).sum())

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Integers) -> WordBatch:
        """The batch of the sentences at `rows` (B,)."""
        lengths = self.lengths[rows]
        steps = np.arange(int(lengths.max()))
        at = self._starts[rows, None] + np.minimum(steps, lengths[:, None] - 1)  # (B, T)
        padding = steps >= lengths[:, None]
        words, targets = self._words[at], self._targets[at]
        words[padding], targets[padding] = self._padding, NOT_COUNTED
        used, spelling = np.unique(self._spelling[at], return_inverse=True)  # (U,)
        spelling = np.where(padding, 0, spelling.reshape(at.shape))
        characters = self._characters[used, : int(self._sizes[used].max())]
        return WordBatch(*map(torch.from_numpy, (words, spelling, characters, targets, lengths)))


class WordBatches(EpochBatches[WordBatch]):
    """Sentences in batches of at most `batch_words` words, padding included; a longer sentence is a batch by itself.

    Each sentence comes once an epoch. Every epoch groups sentences of nearly equal lengths anew and shuffles the
    batches.
    """

    def __init__(self, sentences: EncodedSentences, batch_words: int, seed: int = 0) -> None:
        assert batch_words > 0
        super().__init__(seed)
        self.sentences, self.batch_words = sentences, batch_words

    def _cut(self, epoch: int, rng: np.random.Generator) -> list[Integers]:
        lengths = self.sentences.lengths
        order = np.argsort(lengths * rng.uniform(1 - BLUR, 1 + BLUR, len(lengths)), kind="stable")
        return shuffled(cut_batches(order, lengths[order], self.batch_words), rng)

    def _batch(self, rows: Integers) -> WordBatch:
        return self.sentences.batch(rows)


def evaluation_batches(
    sentences: EncodedSentences, batch_words: int, ranks: Ranks = ALONE
) -> Iterator[tuple[Integers, WordBatch]]:
    """Every sentence once on one rank, the shortest first: the indices (B,) of a batch's sentences, and the batch."""
    order = np.argsort(sentences.lengths, kind="stable")
    for rows in ranks.mine(cut_batches(order, sentences.lengths[order], batch_words)):
        yield rows, sentences.batch(rows)


def read_characters(token: str) -> str:
    """The characters of a word that are read: of a long one, those at both ends."""
    half = MOST_CHARACTERS // 2
    return token if len(token) <= MOST_CHARACTERS else token[:half] + token[-half:]


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Integers, Integers]:
    sizes = _integers([len(row) for row in rows])
    table = np.full((len(rows), int(sizes.max(initial=1))), PADDING, np.int64)
    table[np.arange(table.shape[1]) < sizes[:, None]] = _integers([number for row in rows for number in row])
    return table, sizes


def _integers(values: Sequence[int]) -> Integers:
    return np.array(values, np.int64)
