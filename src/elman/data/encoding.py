"""From texts to pairs of id sequences in memory: validation, evaluation, and the fresh pairs of an endless source."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from elman.data.endless import EndlessPairs, Part
from elman.data.pairs import Data, open_pairs
from elman.data.sequences import PairPart, Sequences
from elman.data.tokenizers import Tokenizer
from elman.data.vocabularies import Tokenizers
from elman.errors import UserError

HELD_OUT_PAIRS = 1_000  # of an endless source, for validation and for testing

Texts = list[tuple[str, str]]


def encode_texts(texts: Texts, tokenizers: Tokenizers, *, keep: bool = True) -> PairPart:
    """The pairs in memory; `keep` their texts too."""
    source, target = (_encode((text[side] for text in texts), tokenizers[side]) for side in (0, 1))
    return PairPart(source, target, texts if keep else None)


def _encode(texts: Iterable[str], tokenizer: Tokenizer) -> Sequences:
    eod = np.array([tokenizer.eod], tokenizer.dtype)
    arrays = [np.zeros(0, tokenizer.dtype)]
    for text in texts:
        arrays += [tokenizer.encode(text), eod]
    return Sequences(np.concatenate(arrays), tokenizer.eod)


def held_out_texts(source: EndlessPairs, part: Part, seed: int) -> Texts:
    """The pairs of an endless source that validation or testing takes."""
    return list(source.texts(part, seed, 0, HELD_OUT_PAIRS))


def evaluation_part(data: Data, tokenizers: Tokenizers, *, seed: int = 0) -> PairPart:
    """All pairs of `data`, by tokenizers that are there already; of an endless source, pairs held out for testing.

    Errors: `UserError` where they cannot be read or there are none.
    """
    source = open_pairs(data)
    if isinstance(source, EndlessPairs):
        return encode_texts(held_out_texts(source, "test", seed), tokenizers)
    texts = [(pair.source, pair.target) for pair in source.pairs()]
    if not texts:
        raise UserError(f"{source.name} holds no pairs", remedy="give lines with a source and a target")
    return encode_texts(texts, tokenizers)


class FreshPairs:
    """The training part of an endless source: epoch e has the pairs [e * epoch_pairs, (e + 1) * epoch_pairs).

    Those with more than `max_length` tokens on a side are left out of their epoch.
    """

    def __init__(
        self, source: EndlessPairs, tokenizers: Tokenizers, epoch_pairs: int, seed: int, max_length: int | None = None
    ):
        self._source, self._tokenizers, self._seed = source, tokenizers, seed
        self._epoch_pairs, self._max_length = epoch_pairs, max_length
        self._made: tuple[int, PairPart] | None = None

    def __len__(self) -> int:
        """How many pairs an epoch has, before any is left out."""
        return self._epoch_pairs

    def epoch(self, epoch: int) -> PairPart:
        """The pairs of an epoch; the latest is kept."""
        if self._made is None or self._made[0] != epoch:
            start = epoch * self._epoch_pairs
            texts = list(self._source.texts("train", self._seed, start, start + self._epoch_pairs))
            part = encode_texts(texts, self._tokenizers, keep=False)
            part.limit(self._max_length)
            if not len(part):
                raise no_pair_is_short_enough(self._source.name, self._max_length)
            self._made = epoch, part
        return self._made[1]


def no_pair_is_short_enough(name: str, max_length: int | None) -> UserError:
    """The error for a limit that leaves nothing to learn from."""
    return UserError(
        f"no training pair of {name} has at most {max_length} tokens on both sides", remedy="raise max_length"
    )
