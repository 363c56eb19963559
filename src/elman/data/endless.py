"""Endless sources of pairs, which are generated.

Pair i of a part is a pure function of (seed, i). Each pair says one thing (a number, a date) in two ways. A hash of
the thing, independent of the seed, decides its part, so that no thing of validation or testing is trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from elman.data.batches import PairPart, encode_texts
from elman.data.tokenizers import Tokenizers
from elman.errors import UserError

Split = Literal["train", "valid", "test"]
Random = npt.NDArray[np.uint64]
Things = npt.NDArray[np.int64]

HELD_OUT = 20  # one of so many things is for validation, and one for testing
SPLITS: dict[Split, int] = {"train": 2, "valid": 0, "test": 1}


@dataclass(frozen=True)
class EndlessPairs:
    """A named source. `thing` draws from random words (N,) uint64; `say` turns a thing and a word into a pair."""

    name: str
    thing: Callable[[Random], Things]
    say: Callable[[int, int], tuple[str, str]]

    @property
    def stamp(self) -> str:
        """The name, because the pairs of a name never change."""
        return self.name

    def texts(self, part: Split, seed: int, start: int, stop: int) -> Iterator[tuple[str, str]]:
        """The pairs [start, stop) of a part: (source, target)."""
        things, words = self._draw(part, seed, np.arange(start, stop, dtype=np.uint64))
        for thing, word in zip(things.tolist(), words.tolist(), strict=True):
            yield self.say(thing, word)

    def _draw(self, part: Split, seed: int, indices: Random) -> tuple[Things, Random]:
        """One thing and one random word for each index; things of other parts are drawn again."""
        stream = mix(mix(np.full(1, seed % (1 << 64), np.uint64)) + np.uint64(SPLITS[part]))
        words = mix(stream + indices)
        things = self.thing(words)
        while len(wrong := np.flatnonzero(split_of(things) != SPLITS[part])):
            words[wrong] = mix(words[wrong])
            things[wrong] = self.thing(words[wrong])
        return things, mix(words ^ np.uint64(0x5DEECE66D))


class FreshPairs:
    """The training part of an endless source: epoch e has the pairs [e * epoch_pairs, (e + 1) * epoch_pairs).

    Pairs with more than `max_length` tokens on a side are left out.
    """

    def __init__(
        self, source: EndlessPairs, tokenizers: Tokenizers, epoch_pairs: int, seed: int, max_length: int | None = None
    ):
        self._source, self._tokenizers, self._seed = source, tokenizers, seed
        self._epoch_pairs, self._max_length = epoch_pairs, max_length
        self._made: tuple[int, PairPart] | None = None

    def __len__(self) -> int:
        """The pairs of an epoch, before any is left out."""
        return self._epoch_pairs

    def epoch(self, epoch: int) -> PairPart:
        """The pairs of an epoch; those of the latest epoch are kept."""
        if self._made is None or self._made[0] != epoch:
            start = epoch * self._epoch_pairs
            texts = list(self._source.texts("train", self._seed, start, start + self._epoch_pairs))
            part = encode_texts(texts, self._tokenizers, keep=False)
            limit_training(part, self._source.name, self._max_length)
            self._made = epoch, part
        return self._made[1]


def limit_training(part: PairPart, name: str, max_length: int | None) -> int:
    """`part.limit` of training pairs. Errors: `UserError` where no pair is left."""
    left_out = part.limit(max_length)
    if not len(part):
        what = f"no training pair of {name} has at most {max_length} tokens on both sides"
        raise UserError(what, remedy="raise max_length")
    return left_out


def split_of(things: Things) -> npt.NDArray[np.int64]:
    """The number in `SPLITS` of the part of every thing."""
    return np.minimum(mix(things.astype(np.uint64)) % np.uint64(HELD_OUT), np.uint64(2)).astype(np.int64)


def mix(words: Random) -> Random:
    """A permutation of the 64-bit words without visible order: splitmix64.

    Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators". (N,) -> (N,)

    >>> hex(mix(np.zeros(1, np.uint64))[0])
    '0xe220a8397b1dcdaf'
    """
    z = words + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def named_pairs(name: str) -> EndlessPairs:
    """The source of a name in `NAMED_PAIRS`. Errors: `UserError` where a package that it needs is not installed."""
    if name == "dates":
        from elman.data import dates

        return EndlessPairs(name, dates.draw, dates.sayer())
    from elman.data import numbers

    direction, _, language = name.partition("-")
    return EndlessPairs(name, numbers.draw, numbers.sayer(language, digits_first=direction == "digits"))
