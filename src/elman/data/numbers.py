"""Numbers in words and in digits, by the package num2words: "mil duzentos e trinta e quatro" and "1234"."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from elman.errors import missing_extra

MOST_DIGITS = 9


def draw(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Numbers (N,) from 0 to 999,999,999 with equally probable counts of digits, from random words (N,)."""
    nine, ten = np.uint64(MOST_DIGITS), np.uint64(10)
    high = ten ** (words % nine + np.uint64(1))
    low = np.where(high > ten, high // ten, np.uint64(0))
    return (low + (words // nine) % (high - low)).astype(np.int64)


def sayer(language: str, *, digits_first: bool = False) -> Callable[[int, int], tuple[str, str]]:
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
