"""The spans that tags spell, such as the names in a sentence, as elman finds them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

# The letters of each scheme, and their meaning in BIOES.
LETTERS = {
    "IOB2": {"B": "B", "I": "I"},
    "IOB1": {"B": "B", "I": "I"},
    "BIOES": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "BILOU": {"B": "B", "I": "I", "L": "E", "U": "S"},
    "BMES": {"B": "B", "M": "I", "E": "E", "S": "S"},
    "BMEWO": {"B": "B", "M": "I", "E": "E", "W": "S"},
}
TAG = re.compile(r"([BIESLUMW])(?:-(.+))?", re.DOTALL)
BORDER = ("O", "")


class Span(NamedTuple):
    """The words [start, stop) of a sentence."""

    label: str
    start: int
    stop: int


def spans_of(tags: Sequence[str], scheme: str) -> list[Span]:
    """The spans of tags; those that break the scheme begin or end a span where conlleval does.

    >>> spans_of(["O", "I-A", "I-A", "I-B", "B-B"], "IOB2")
    [Span(label='A', start=1, stop=3), Span(label='B', start=3, stop=4), Span(label='B', start=4, stop=5)]
    """
    found, start = list[Span](), 0
    marks = [BORDER, *(_mark(tag, LETTERS[scheme]) for tag in tags), BORDER]
    for at, ((before, label), (after, next_label)) in enumerate(pairwise(marks)):
        changes = before in "ESO" or after in "BSO" or label != next_label
        if changes and before != "O":
            found.append(Span(label, start, at))
        if changes:
            start = at
    return found


def _mark(tag: str, letters: dict[str, str]) -> tuple[str, str]:
    """A letter of BIES and a label; BORDER for a tag that is outside of all spans."""
    found = TAG.fullmatch(tag)
    return (letters[found[1]], found[2] or "") if found and found[1] in letters else BORDER
