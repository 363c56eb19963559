"""The error token by token over the text (Elman 1990, "Finding structure in time", figure 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.arrays import Floats
from elman.inspection.look import Part
from elman.inspection.reading import PASSAGE, TextReading
from elman.inspection.subject import Subject
from elman.inspection.untrained import KEYS
from elman.report import Chapter, Figure, Line, choice, line_chart, number
from elman.report.names import visible
from elman.wording import percent

Flags = npt.NDArray[np.bool_]

TEXT = (
    "How much every token surprises the model that has read those before it: the loss at that token, −ln p, in nats. "
    "Where a word begins many tokens are possible, and inside of it few: the error of a model that has learnt words "
    "rises at their beginnings. Elman (1990) found the words in a stream of letters in this way."
)


def look(subject: Subject) -> Part:
    """Both models on the windows that are read."""
    windows, readings = subject.read.numpy(), subject.readings
    pieces = [subject.pieces(row) for row in subject.read]
    first, inside = (np.stack(flags) for flags in zip(*map(word_places, pieces), strict=True))
    first[:, 0] = inside[:, 0] = False  # nothing was read before
    nats = [reading.surprise for reading in readings.values()]
    nats.append(frequency_surprise(subject.tokens, subject.model.vocab_size)[windows])
    means = [{where: _mean(one[here]) for where, here in places(first, inside).items()} for one in nats]
    share = share_of_pairs(nats[0][first], nats[0][inside])
    figures = {
        name: _figure(name, [piece or "" for piece in pieces[row][:PASSAGE]], readings, row, first[row, :PASSAGE])
        for row, name in subject.passages.items()
    }
    lines = [_overall(list(readings), means, subject.model.vocab_size)]
    if share is not None:
        lines += [_of_words(list(readings), means), _of_pairs(share)]
    numbers: dict[str, Any] = dict(zip((*KEYS, "frequencies"), means, strict=True))
    numbers |= {"first_is_more_surprising": share}
    numbers["passages"] = [
        {"tokens": [piece or "" for piece in pieces[row][:PASSAGE]]}
        | {key: one.surprise[row, :PASSAGE] for key, one in zip(KEYS, readings.values(), strict=True)}
        for row in subject.passages
    ]
    text = f"{TEXT} These are {len(windows)} windows of {windows.shape[1]} tokens, each read from a fresh memory."
    figure = choice(figures, title="The error over a passage")
    return Part(Chapter("The error, token by token", text, [figure], lines), numbers, lines)


def word_places(pieces: Sequence[str | None]) -> tuple[Flags, Flags]:
    """Of the texts of tokens (None: a document's end): which tokens begin a word, and which lie inside of one.

    >>> first, inside = word_places(list("to be"))
    >>> first.tolist(), inside.tolist()
    ([True, False, False, True, False], [False, True, False, False, True])
    """
    first, inside, before = np.zeros(len(pieces), bool), np.zeros(len(pieces), bool), False
    for place, piece in enumerate(pieces):
        word = [before, *(letter.isalnum() or letter == "_" for letter in piece or "")]
        first[place] = any(now and not last for last, now in pairwise(word))
        inside[place] = len(word) > 1 and all(word)
        before = piece is not None and word[-1]
    return first, inside


def places(first: Flags, inside: Flags) -> dict[str, Flags]:
    """The places (B, T) that have a mean of their own; those of all tokens are all but the first of a window."""
    every = np.ones_like(first)
    every[:, 0] = False
    return {"all": every, "first": first, "inside": inside}


def frequency_surprise(tokens: npt.NDArray[np.int64], vocab_size: int) -> Floats:
    """−ln of each token's share of a text, (V,); infinite for a token that is not in it."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(np.bincount(tokens, minlength=vocab_size) / len(tokens)))


def share_of_pairs(high: Floats, low: Floats) -> float | None:
    """The share of pairs, one of `high` and one of `low`, of which the first is the greater; a tie counts one half.

    It is 1/2 by chance (Mann & Whitney 1947), and None where there is no pair.

    >>> share_of_pairs(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    if not len(high) or not len(low):
        return None
    rising = np.sort(low)
    below = (np.searchsorted(rising, high, "left") + np.searchsorted(rising, high, "right")) / 2
    return float(below.mean() / len(low))


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _overall(names: Sequence[str], means: Sequence[Mapping[str, float | None]], size: int) -> str:
    (trained, fresh), found = names, [number(one["all"]) for one in means]
    return (
        f"a token surprises the {trained} model by {found[0]} nats on average ({fresh}: {found[1]}; the tokens' "
        f"frequencies alone: {found[2]}; an even guess among all {size:,} tokens: {number(float(np.log(size)))})"
    )


def _of_words(names: Sequence[str], means: Sequence[Mapping[str, float | None]]) -> str:
    trained, fresh, alone = ((number(one["first"]), number(one["inside"])) for one in means)
    return (
        f"the first token of a word surprises the {names[0]} model by {trained[0]} nats on average, one inside of a "
        f"word by {trained[1]} ({names[1]}: {fresh[0]} and {fresh[1]}; the tokens' frequencies alone: {alone[0]} and "
        f"{alone[1]})"
    )


def _of_pairs(share: float) -> str:
    return (
        f"of a word's first token and a token inside of a word, the first is the more surprising in "
        f"{percent(share)} of all pairs; chance is 50 %"
    )


def _figure(name: str, pieces: Sequence[str], readings: Mapping[str, TextReading], row: int, first: Flags) -> Figure:
    nats = [reading.surprise[row, : len(pieces)] for reading in readings.values()]
    steps = np.arange(len(pieces))
    (trained, own), (fresh, others) = zip(readings, nats, strict=True)
    lines = [
        Line(trained, steps, own, colour=1),
        Line("first token of a word", steps, np.where(first, own, np.nan), colour=4, dots=True),
        Line(fresh, steps, others, colour=2, dashed=True),
    ]
    return line_chart(
        lines,
        title=f"The error over passage {name}",
        x="token that was to be predicted",
        y="surprise, nats",
        zero=True,
        names=[visible(piece) for piece in pieces],
        wide=True,
        link=f"passage {row}",
        reading="The height is how much the token below surprised the model: 0 is a token that was certain, and "
        "ln 2 = 0.69 one of a probability of one half. A dot is where a word begins. The passage begins with a fresh "
        "memory, so that its first tokens surprise more.",
    )
