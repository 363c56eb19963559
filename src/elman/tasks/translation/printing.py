"""A translation for people and programs: as text, as a line of n-best lists, as an alignment, as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

if TYPE_CHECKING:
    from elman.decode.translate import Candidate, Translation

SHADES = "·░▒▓█"  # of the weights nearest to 0, 1/4, 1/2, 3/4 and 1
# A text in a line of fields between bars keeps no character that a reader could take for a bar, a line's end or an
# escape.
ESCAPES = str.maketrans({"\\": r"\\", "|": r"\|", "\n": r"\n", "\r": r"\r"})
ESCAPES |= {ord(end): f"\\u{ord(end):04x}" for end in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"}  # for str.splitlines


def lines(translation: Translation, nbest: int) -> Iterator[str]:
    """A translation as text: a line each, and the matrix of its alignment where there is one."""
    for candidate in translation.candidates:
        yield " ".join(candidate.text.splitlines()) if nbest == 1 else _fields(translation, candidate)
        if candidate.alignment is not None:
            if candidate.tokens:
                yield from alignment_lines(candidate.alignment, candidate.tokens, translation.source_tokens)
            yield ""


def _fields(translation: Translation, candidate: Candidate) -> str:
    score = "-inf" if translation.error else f"{candidate.score:.4f}"
    return f"{translation.number} ||| {escape(candidate.text)} ||| {score}"


def alignment_lines(weights: Sequence[Sequence[float]], target: Sequence[str], source: Sequence[str]) -> Iterator[str]:
    """The lines of a matrix of weights, each from 0 to 1, with the tokens beside and above it.

    >>> print(*alignment_lines([[0.9, 0.1], [0.2, 0.5]], ["la", "casa"], ["the", "house"]), sep="\\n")
          the house
      la  ███ ·····
    casa  ░░░ ▒▒▒▒▒
    """
    left = max(map(cell_len, target), default=0)
    yield " " * left + "  " + " ".join(source)
    for token, row in zip(target, weights, strict=True):
        cells = [SHADES[round(4 * min(1.0, x))] * cell_len(name) for x, name in zip(row, source, strict=True)]
        yield " " * (left - cell_len(token)) + token + "  " + " ".join(cells)


def escape(text: str) -> str:
    r"""A text as a field of an n-best line, without a bar or a line's end; a reader can undo the escapes.

    >>> print(escape("a ||| b" + chr(10) + "c:\\d"))
    a \|\|\| b\nc:\\d
    """
    return text.translate(ESCAPES)


def record(translation: Translation, seed: int | None, nbest: int) -> dict[str, Any]:
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
