"""A tagged sentence as a JSON object, with its text, the offsets of its tokens, and its spans."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from elman.data.conll import TokenRows
from elman.data.spans import spans_of
from elman.tasks.exchange import Trained
from elman.tasks.tagging.inference import Said

DIGITS = 8  # of probabilities: those of a token sum to one within a millionth
TEXT = re.compile(r"#\s*text\s*=\s*(.*)")
WORD = re.compile(r"[^ \t\r\n]+")

Offsets = list[tuple[int, int]]


def record(run: Trained, line: int, tokens: Sequence[str], said: Said, text: str, offsets: Offsets) -> dict[str, Any]:
    """What is said of a sentence: `text[start:stop]` is a token by its `offsets`, in characters."""
    names, probabilities = run.tags.names, said.probabilities.round(DIGITS).tolist()
    answer = {
        "line": line,
        "text": text,
        "tokens": list(tokens),
        "tags": said.tags,
        "offsets": offsets,
        "probabilities": [dict(zip(names, row, strict=True)) for row in probabilities],
        "unknown": run.words.encode(tokens).count(run.words.unknown),
    }
    if run.tags.scheme is None:
        return answer
    spans = []
    for label, start, stop in spans_of(said.tags, run.tags.scheme):
        begin, end = offsets[start][0], offsets[stop - 1][1]
        place = {"start": start, "stop": stop, "offsets": (begin, end), "text": text[begin:end]}
        spans.append({"label": label, **place})
    return {**answer, "spans": spans}


def words_in(text: str) -> tuple[list[str], Offsets]:
    """The words of a text, which white space parts, and where they are.

    >>> words_in(" on  top")
    (['on', 'top'], [(1, 3), (5, 8)])
    """
    found = list(WORD.finditer(text))
    return [match[0] for match in found], [match.span() for match in found]


def placed(tokens: Sequence[str], text: str | None) -> tuple[str, Offsets]:
    """A text and the places of its tokens, between which there is white space at most.

    Where tokens have no text, or another one, the text is theirs with a space between them.

    >>> placed(["Don", "'t"], " Don't"), placed(["a", "b"], None)
    ((" Don't", [(1, 4), (4, 6)]), ('a b', [(0, 1), (2, 3)]))
    """
    if text is not None:
        at, found = 0, Offsets()
        for token in tokens:
            at += len(text[at:]) - len(text[at:].lstrip())
            if not text.startswith(token, at):
                break
            found.append((at, at + len(token)))
            at += len(token)
        if len(found) == len(tokens):
            return text, found
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token) + 1)
    return " ".join(tokens), [(start, start + len(token)) for start, token in zip(starts, tokens, strict=False)]


def placed_rows(rows: TokenRows) -> tuple[str, Offsets]:
    """The text of a sentence in columns, and the places of its tokens; those of a range have the place of the range."""
    comments = (TEXT.fullmatch(line) for line in rows.lines)
    given = next((match[1] for match in comments if match), None)
    text, found = placed([form for form, _, _ in rows.forms], given)
    return text, [
        offsets for offsets, (_, start, stop) in zip(found, rows.forms, strict=True) for _ in range(start, stop)
    ][: len(rows.tokens)]
