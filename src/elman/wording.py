"""Numbers as sentences have them, in one way everywhere: a minus that one can type, and a space before the per cent."""

from __future__ import annotations


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
