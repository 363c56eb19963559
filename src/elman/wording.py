"""Numbers and lists as sentences have them, in one way everywhere: a minus that one can type, a space before the %."""

from __future__ import annotations

from collections.abc import Iterable


def percent(share: float | None, digits: int = 0, *, signed: bool = False) -> str:
    """A part of 1 as a percentage; a dash where there is none.

    >>> percent(0.426), percent(0.426, 1), percent(-0.004, 2, signed=True), percent(None)
    ('43 %', '42.6 %', '-0.40 %', '–')
    """
    if share is None:
        return "–"
    return f"{100 * share:{'+' if signed else ''}.{digits}f} %"


def counted(number: int, thing: str, things: str = "") -> str:
    """A number and what is counted, in the plural unless there is one; `things` is a plural that is irregular.

    >>> counted(1, "session"), counted(12_000, "token"), counted(0, "entry", "entries")
    ('1 session', '12,000 tokens', '0 entries')
    """
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def either(words: Iterable[str]) -> str:
    """Words of which one is meant, in a row.

    >>> either(["a tagger", "a classifier", "a forecaster"]), either(["a tagger"])
    ('a tagger, a classifier or a forecaster', 'a tagger')
    """
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
