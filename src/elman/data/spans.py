"""Schemes in which tags of tokens spell spans, such as the names in a sentence.

A tag is O, or a letter and the label of the span: B-PER. The letters say where in its span a token stands:

    IOB2   B begins every span, I goes on
    IOB1   I goes on, and begins a span too; B begins one that follows a span of the same label at once
    BIOES  B begins, I goes on, E ends, S is alone; BILOU, BMES and BMEWO are the same with other letters
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from elman.data.vocabulary import Scheme

OUTSIDE = "O"
# The letters of each scheme, and their meaning in BIOES.
LETTERS: dict[Scheme, dict[str, str]] = {
    "IOB2": {"B": "B", "I": "I"},
    "IOB1": {"B": "B", "I": "I"},
    "BIOES": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "BILOU": {"B": "B", "I": "I", "L": "E", "U": "S"},
    "BMES": {"B": "B", "M": "I", "E": "E", "S": "S"},
    "BMEWO": {"B": "B", "M": "I", "E": "E", "W": "S"},
}
TAG = re.compile(r"([BIESLUMW])(?:-(.+))?", re.DOTALL)
MOST_BREACHES = 0.1  # of the tags other than O, in sentences that are still taken to be of a scheme


class TagSpan(NamedTuple):
    """The tokens [start, stop) of a sentence."""

    label: str
    start: int
    stop: int


class TagMark(NamedTuple):
    """A tag as BIOES has it: a letter of BIES, or O; the label is empty where tags have none."""

    letter: str
    label: str


BORDER = TagMark(OUTSIDE, "")  # before the first tag and after the last


@lru_cache(1 << 12)
def mark(tag: str, scheme: Scheme) -> TagMark:
    """The meaning of a tag. A tag that is none of the scheme's is outside of all spans.

    >>> mark("U-PER", "BILOU"), mark("I", "IOB2")
    (TagMark(letter='S', label='PER'), TagMark(letter='I', label=''))
    """
    found = TAG.fullmatch(tag)
    if found is None or found[1] not in LETTERS[scheme]:
        return BORDER
    return TagMark(LETTERS[scheme][found[1]], found[2] or "")


def recognise_scheme(sentences: Iterable[Sequence[str]]) -> Scheme | None:
    """The scheme of the tags of sentences, or None where they spell no spans.

    Of the schemes with these letters, that which the fewest neighbours break; a tenth of the tags at most may.

    >>> recognise_scheme([["O", "B-A", "I-A"]]), recognise_scheme([["O", "I-A", "B-A"]]), recognise_scheme([["NOUN"]])
    ('IOB2', 'IOB1', None)
    """
    neighbours = Counter(pair for tags in sentences for pair in pairwise([OUTSIDE, *tags, OUTSIDE]))
    names = dict.fromkeys(after for _, after in neighbours if after != OUTSIDE)
    found = [TAG.fullmatch(tag) for tag in names]
    if not names or None in found or len({match[2] is None for match in found if match}) > 1:
        return None
    letters = {match[1] for match in found if match}
    fitting: list[Scheme] = [scheme for scheme, known in LETTERS.items() if letters <= set(known)]
    breaches = {scheme: _count_breaches(neighbours, scheme) for scheme in fitting}
    best = min(breaches, key=lambda scheme: breaches[scheme], default=None)  # the first of equals
    inside = sum(n for (_, after), n in neighbours.items() if after != OUTSIDE)
    return best if best is not None and breaches[best] <= MOST_BREACHES * inside else None


def _count_breaches(neighbours: Mapping[tuple[str, str], int], scheme: Scheme) -> int:
    return sum(
        count
        for (before, after), count in neighbours.items()
        if not may_follow(mark(before, scheme), mark(after, scheme), scheme)
    )


def may_follow(before: TagMark, after: TagMark, scheme: Scheme) -> bool:
    """Whether a tag may stand after another one; BORDER is before the first tag and after the last.

    In no scheme does I follow O, but in IOB1, where B does not.
    """
    goes_on = before.letter != OUTSIDE and before.label == after.label
    if scheme == "IOB2":
        return after.letter != "I" or goes_on
    if scheme == "IOB1":
        return after.letter != "B" or goes_on
    if before.letter in "BI":
        return after.letter in "IE" and goes_on
    return after.letter not in "IE"


def breaks(tags: Sequence[str], scheme: Scheme) -> list[int]:
    """The places where a tag may not follow the one before it; `len(tags)` is the end of the sentence.

    >>> breaks(["O", "I-A", "B-A"], "IOB2"), breaks(["B-A"], "BIOES")
    ([1], [1])
    """
    marks = [BORDER, *(mark(tag, scheme) for tag in tags), BORDER]
    return [at for at, (before, after) in enumerate(pairwise(marks)) if not may_follow(before, after, scheme)]


def allowed_transitions(tags: Sequence[str], scheme: Scheme | None) -> npt.NDArray[np.bool_]:
    """Which tag may follow which: (K + 1, K + 1), where [i, j] says whether tag j may follow tag i.

    Row K is the beginning of a sentence and column K its end. Without a scheme everything is allowed.
    """
    if scheme is None:
        return np.ones((len(tags) + 1, len(tags) + 1), np.bool_)
    marks = [*(mark(tag, scheme) for tag in tags), BORDER]
    return np.array([[may_follow(before, after, scheme) for after in marks] for before in marks])


def spans_of(tags: Sequence[str], scheme: Scheme) -> list[TagSpan]:
    """The spans that tags spell, leniently: tags that break the scheme begin or end a span where conlleval does.

    Tjong Kim Sang and Buchholz 2000, "Introduction to the CoNLL-2000 shared task: chunking".

    >>> spans_of(["O", "I-A", "I-A", "I-B", "B-B"], "IOB2")
    [TagSpan(label='A', start=1, stop=3), TagSpan(label='B', start=3, stop=4), TagSpan(label='B', start=4, stop=5)]
    """
    found, start = list[TagSpan](), 0
    marks = [BORDER, *(mark(tag, scheme) for tag in tags), BORDER]
    for at, (before, after) in enumerate(pairwise(marks)):
        changes = before.letter in "ESO" or after.letter in "BSO" or before.label != after.label
        if changes and before.letter != OUTSIDE:
            found.append(TagSpan(before.label, start, at))
        if changes:
            start = at
    return found


def tags_of(spans: Iterable[TagSpan], length: int, scheme: Scheme) -> list[str]:
    """The tags of a sentence of `length` tokens that spell these spans: the inverse of `spans_of`.

    >>> tags_of([TagSpan("A", 0, 1), TagSpan("A", 1, 3)], 4, "IOB1"), tags_of([TagSpan("A", 0, 2)], 3, "BILOU")
    (['I-A', 'B-A', 'I-A', 'O'], ['B-A', 'L-A', 'O'])
    """
    letters = {meaning: letter for letter, meaning in LETTERS[scheme].items()}
    tags, before = [OUTSIDE] * length, TagSpan("", -1, -1)
    for span in spans:
        adjacent = before.stop == span.start and before.label == span.label
        for at, letter in zip(
            range(span.start, span.stop), _SPELT[scheme](span.stop - span.start, adjacent), strict=True
        ):
            tags[at] = f"{letters[letter]}-{span.label}" if span.label else letters[letter]
        before = span
    return tags


def _iob1(length: int, adjacent: bool) -> str:
    return "BI"[not adjacent] + "I" * (length - 1)


def _iob2(length: int, adjacent: bool) -> str:
    return "B" + "I" * (length - 1)


def _bioes(length: int, adjacent: bool) -> str:
    return "S" if length == 1 else "B" + "I" * (length - 2) + "E"


_SPELT: dict[Scheme, Callable[[int, bool], str]] = dict.fromkeys(LETTERS, _bioes)
_SPELT |= {"IOB1": _iob1, "IOB2": _iob2}


def mended(tags: Sequence[str], scheme: Scheme | None) -> Sequence[str]:
    """The same tags where they keep to the scheme; else the tags that spell the spans which they spell leniently.

    >>> mended(["O", "I-A", "I-A"], "IOB2")
    ['O', 'B-A', 'I-A']
    """
    if scheme is None or not breaks(tags, scheme):
        return tags
    return tags_of(spans_of(tags, scheme), len(tags), scheme)


def in_bioes(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Tags with the letters of BIOES, or of IOB where the scheme is one of these, and O for a tag that is of no scheme.

    >>> in_bioes(["B-PER", "L-PER", "U", "NOUN"], "BILOU")
    ['B-PER', 'E-PER', 'S', 'O']
    """
    marks = [mark(tag, scheme) for tag in tags]
    return [f"{letter}-{label}" if label else letter for letter, label in marks]


def completed(names: Sequence[str], scheme: Scheme | None) -> list[str]:
    """Tags, and what a sentence of any length needs: O, or a span of one token of each label where O never occurs."""
    if scheme is None or OUTSIDE in names:
        return list(names)
    labels = dict.fromkeys(mark(tag, scheme).label for tag in names)
    alone = [tags_of([TagSpan(label, 0, 1)], 1, scheme)[0] for label in labels]
    return list(dict.fromkeys([*names, *alone]))
