"""Endless sources of pairs, which are generated: numbers and dates in words, and in digits or in ISO 8601.

"mil duzentos e trinta e quatro" and "1234" by the package num2words; "17 de março de 2024" and "2024-03-17" by Babel.

Pair i of a part is a pure function of (seed, i). Each pair says one thing (a number, a date) in two ways. A hash of
the thing, independent of the seed, decides its part, so that no thing of validation or testing is trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt

from elman.data.batches import PairPart, encode_texts
from elman.data.tokenizers import Tokenizers
from elman.errors import UserError, missing_extra

Split = Literal["train", "valid", "test"]
Random = npt.NDArray[np.uint64]
Things = npt.NDArray[np.int64]
Sayer = Callable[[int, int], tuple[str, str]]

HELD_OUT = 20  # one of so many things is for validation, and one for testing
SPLITS: dict[Split, int] = {"train": 2, "valid": 0, "test": 1}
MOST_DIGITS = 9
FIRST, LAST = date(1900, 1, 1).toordinal(), date(2099, 12, 31).toordinal()
LOCALES = ("en_US", "en_GB", "pt_BR", "pt_PT", "de", "fr", "es", "it", "nl", "pl", "sv", "da", "nb", "fi", "cs", "tr")
STYLES = ("full", "long", "d MMMM y", "d MMM y", "EEE d MMM y")
"""All styles name the month, because 3/4 in digits alone may be two dates."""


@dataclass(frozen=True)
class EndlessPairs:
    """A named source. `thing` draws from random words (N,) uint64; `say` turns a thing and a word into a pair."""

    name: str
    thing: Callable[[Random], Things]
    say: Sayer

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
        return EndlessPairs(name, draw_dates, date_sayer())
    direction, _, language = name.partition("-")
    return EndlessPairs(name, draw_numbers, number_sayer(language, digits_first=direction == "digits"))


def draw_numbers(words: Random) -> Things:
    """Numbers (N,) from 0 to 999,999,999 with equally probable counts of digits, from random words (N,)."""
    nine, ten = np.uint64(MOST_DIGITS), np.uint64(10)
    high = ten ** (words % nine + np.uint64(1))
    low = np.where(high > ten, high // ten, np.uint64(0))
    return (low + (words // nine) % (high - low)).astype(np.int64)


def number_sayer(language: str, *, digits_first: bool = False) -> Sayer:
    """A function from a number (and a random word, which it ignores) to (its words, its digits), or the reverse.

    Errors: `UserError` where num2words is not installed.
    """
    try:
        from num2words import num2words
    except ImportError:
        raise missing_extra("num2words", "pairs", "number words") from None

    def say(number: int, _: int) -> tuple[str, str]:
        # num2words writes commas between the thousands, which Portuguese and German do not have.
        words, digits = num2words(number, lang=language).replace(",", ""), str(number)
        return (digits, words) if digits_first else (words, digits)

    return say


def draw_dates(words: Random) -> Things:
    """Ordinals (N,) of equally probable days from 1900 to 2099, from random words (N,)."""
    return (words % np.uint64(LAST - FIRST + 1)).astype(np.int64) + FIRST


def date_sayer() -> Sayer:
    """A function from a day and a random word to (the day in a language and a style, the day in ISO 8601).

    Errors: `UserError` where Babel is not installed.
    """
    try:
        from babel.dates import format_date
    except ImportError:
        raise missing_extra("babel", "pairs", "dates in words") from None

    def say(ordinal: int, word: int) -> tuple[str, str]:
        day = date.fromordinal(ordinal)
        which, style = divmod(word, len(STYLES))
        locale = LOCALES[which % len(LOCALES)]
        return format_date(day, STYLES[style], locale=locale), day.isoformat()

    return say
