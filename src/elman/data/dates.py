"""Dates in words and in ISO 8601, by the package Babel: "17 de março de 2024" and "2024-03-17"."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import numpy.typing as npt

from elman.errors import missing_extra

FIRST, LAST = date(1900, 1, 1).toordinal(), date(2099, 12, 31).toordinal()

LOCALES = ("en_US", "en_GB", "pt_BR", "pt_PT", "de", "fr", "es", "it", "nl", "pl", "sv", "da", "nb", "fi", "cs", "tr")
STYLES = ("full", "long", "d MMMM y", "d MMM y", "EEE d MMM y")
"""All styles name the month, because 3/4 in digits alone may be two dates."""


def draw(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Ordinals (N,) of equally probable days from 1900 to 2099, from random words (N,)."""
    return (words % np.uint64(LAST - FIRST + 1)).astype(np.int64) + FIRST


def sayer() -> Callable[[int, int], tuple[str, str]]:
    """A function of a day and a random word: (the day in some language and style, the day in ISO 8601).

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
