"""Number words with the value of each word as its tag: two/2 hundred/100 and/0 seven/7, for 0 to 9,999."""

from __future__ import annotations

import re
from collections.abc import Iterator

from elman.data.tagged import TaggedSentence
from elman.errors import missing_extra

NUMBERS = 10_000
# The value of every word is the number that the word alone says; these say none by themselves.
WITHIN = {"en": {"hundred": 100, "thousand": 1000, "and": 0}, "pt_BR": {"cento": 100, "e": 0}}


def number_words(language: str) -> Iterator[TaggedSentence]:
    """The words of each number in a language, "en" or "pt_BR". Errors: `UserError` where num2words is not installed."""
    try:
        from num2words import num2words
    except ImportError:
        raise missing_extra("num2words", "pairs", "number words") from None

    said = [re.findall(r"\w+", num2words(number, lang=language)) for number in range(NUMBERS)]
    values = {words[0]: number for number, words in enumerate(said) if len(words) == 1} | WITHIN[language]
    for words in said:
        yield TaggedSentence(tuple(words), tuple(str(values[word]) for word in words))
