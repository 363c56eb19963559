"""Numbers and lists as sentences have them, in one way everywhere: a minus that one can type, a space before the %."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

MEMORY = "elman-memory-"  # how the name of a temporary folder for data in memory begins


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


def unit_of(path: Path) -> str:
    """What a record of a file is called: data in memory, such as a frame, have rows where their file has lines.

    >>> unit_of(Path("a.jsonl")), unit_of(Path(f"{MEMORY}1/data.jsonl"))
    ('line', 'row')
    """
    return "row" if path.parent.name.startswith(MEMORY) and path.suffix == ".jsonl" else "line"


def record_place(path: Path, number: int) -> str:
    """The file and the number of a record, for the beginning of an error.

    >>> record_place(Path("a.csv"), 3)
    'a.csv, line 3'
    """
    return f"{path}, {unit_of(path)} {number}"
