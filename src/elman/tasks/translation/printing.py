"""How a translation is printed: as text, as a line of n-best lists, as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from elman.tasks.translation.alignment import alignment_lines

if TYPE_CHECKING:
    from elman.decode.translation import Candidate, TranslatedLine

# Of a text in a line of fields between bars: what could be taken for a bar, for a line's end or for an escape.
ESCAPES = str.maketrans({"\\": r"\\", "|": r"\|", "\n": r"\n", "\r": r"\r"})
ESCAPES |= {ord(end): f"\\u{ord(end):04x}" for end in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"}  # for str.splitlines


def lines(translation: TranslatedLine, nbest: int) -> Iterator[str]:
    """A translation as text: a line each, and the matrix of its alignment where there is one."""
    for candidate in translation.candidates:
        yield " ".join(candidate.text.splitlines()) if nbest == 1 else _fields(translation, candidate)
        if candidate.alignment is not None:
            if candidate.tokens:
                yield from alignment_lines(candidate.alignment, candidate.tokens, translation.source_tokens)
            yield ""


def _fields(translation: TranslatedLine, candidate: Candidate) -> str:
    score = "-inf" if translation.error else f"{candidate.score:.4f}"
    return f"{translation.number} ||| {escape(candidate.text)} ||| {score}"


def escape(text: str) -> str:
    r"""A text as a field of an n-best line, from which it can be had back: no bar and no line's end is left in it.

    >>> print(escape("a ||| b" + chr(10) + "c:\\d"))
    a \|\|\| b\nc:\\d
    """
    return text.translate(ESCAPES)


def record(translation: TranslatedLine, seed: int | None, nbest: int) -> dict[str, Any]:
    """A translation as a JSON object; with `nbest` above 1 all of its candidates are in "nbest"."""
    line = {"line": translation.number, "source": translation.source}
    if translation.error:
        return {**line, "error": translation.error, "text": ""}
    candidates = [_candidate(candidate) for candidate in translation.candidates]
    return {
        **line,
        "unknown": translation.unknown,
        **({} if seed is None else {"seed": seed}),
        **candidates[0],
        **({} if candidates[0].get("alignment") is None else {"source_tokens": translation.source_tokens}),
        **({} if nbest == 1 else {"nbest": candidates}),
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    record: dict[str, Any] = {
        "text": candidate.text,
        "score": round(candidate.score, 6),
        "log_probability": round(candidate.log_probability, 6),
        "tokens": candidate.tokens,
    }
    if candidate.alignment is not None:
        record["alignment"] = [[round(weight, 4) for weight in row] for row in candidate.alignment]
    return record
