"""Times as people write them: ISO 8601 with or without an offset from UTC, months, quarters, or numbers of steps.

A time is read in one way or refused: 03/04/2024 may be a day in March or in April, and 20240301 a number or a day.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from elman.errors import UserError

Integers: TypeAlias = npt.NDArray[np.int64]
Kind = Literal["integer", "naive", "offset"]

EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND
LARGEST = 1 << 53  # whole number, so that differences are exact
LAST_YEAR = 8999  # 9999 is how databases write "never", and forecasts go on beyond the last time
EXPECTED = "a time such as 2024-01-31, 2024-01-31T09:00 or 2024-01-31T09:00+01:00, or a whole number"

YEAR_FIRST = re.compile(r"(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2})(?!\d))?(.*)", re.DOTALL)
QUARTER = re.compile(r"(\d{4})-?Q([1-4])", re.IGNORECASE)
EIGHT_DIGITS = re.compile(r"(1[89]|2[01])\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
YEAR_LAST = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}(\D.*)?", re.DOTALL)


@dataclass(frozen=True)
class Times:
    """Times of rows: whole numbers, or microseconds since 1970.

    `wall` (N,) is what a clock on the wall shows, and `offsets` (N,) is how far that clock is ahead of UTC; of times
    without offsets it is 0. `style` is one of the texts, as an example of how they were written.
    """

    kind: Kind
    wall: Integers
    offsets: Integers
    style: str

    @property
    def instants(self) -> Integers:
        """The times in UTC, or on the wall where there are no offsets (N,)."""
        return self.wall - self.offsets

    def at(self, rows: Integers) -> Times:
        """The times of some rows."""
        return Times(self.kind, self.wall[rows], self.offsets[rows], self.style)


def parse_times(cells: Sequence[Any], place: Callable[[int], str]) -> Times:
    """The times in cells: texts, or whole numbers. `place` names a row for errors.

    Raises `UserError`, with the row's place, for a cell that is no time, or may be one of two; and where some cells
    have an offset from UTC and others have none.
    """
    texts = ["" if cell is None else str(cell) for cell in cells]
    rows: dict[str, int] = {}  # the first row of each text
    for row, text in enumerate(texts):
        rows.setdefault(text, row)
    found: dict[str, tuple[Kind, int, int]] = {}
    for text, row in rows.items():
        try:
            found[text] = _parse(text.strip())
        except (ValueError, OverflowError):
            raise _refusal(text, place(row)) from None
    kinds: dict[Kind, str] = {}  # the first text of each kind
    for text, (kind, _, _) in found.items():
        kinds.setdefault(kind, text)
    if len(kinds) > 1:
        first, second, *_ = kinds.values()
        remedy = "write the offset from UTC behind each, such as +00:00" if "offset" in kinds else ""
        got = f"{first!r} there and {second!r} in {place(rows[second])}"
        raise UserError(place(rows[first]), expected="times of one kind", got=got, remedy=remedy)
    if "integer" in kinds and all(EIGHT_DIGITS.fullmatch(text.strip()) for text in found):
        text = next(iter(rows))
        remedy = f"write {text[:4]}-{text[4:6]}-{text[6:]} for a day"
        raise UserError(place(rows[text]), expected=EXPECTED, got=f"{text}, a number or a day", remedy=remedy)
    wall, offsets = np.array([found[text][1:] for text in texts], np.int64).reshape(-1, 2).T
    return Times(
        next(iter(kinds), "integer"), wall, offsets, max(found, key=lambda text: (len(text), text), default="")
    )


def _parse(text: str) -> tuple[Kind, int, int]:
    """Kind, wall clock and offset. Raises `ValueError`."""
    number = text.removesuffix(".0")  # of a table that had only floats
    if number.removeprefix("-").isdecimal():
        if abs(int(number)) > LARGEST:
            raise ValueError
        return "integer", int(number), 0
    if quarter := QUARTER.fullmatch(text):
        time = datetime(int(quarter[1]), 3 * int(quarter[2]) - 2, 1)
    elif parts := YEAR_FIRST.fullmatch(text):
        year, month, day, rest = parts.groups()
        if day is None and rest:
            raise ValueError
        time = datetime.fromisoformat(f"{year}-{month:0>2}-{day or '1':0>2}{rest}")
    else:
        time = datetime.fromisoformat(text)
    if time.year > LAST_YEAR:
        raise ValueError
    offset = time.utcoffset()
    wall = (time.replace(tzinfo=None) - EPOCH) // MICROSECOND
    return ("naive", wall, 0) if offset is None else ("offset", wall, offset // MICROSECOND)


def _refusal(text: str, place: str) -> UserError:
    got = reprlib.repr(text) if text.strip() else "none"
    remedy = ""
    if YEAR_LAST.fullmatch(text.strip()):
        got, remedy = f"{got}, whose day and month look alike", "write the year first: 2024-03-31"
    return UserError(place, expected=EXPECTED, got=got, remedy=remedy)


def written(wall: int, style: str, offset: int | None = None) -> str:
    """A time in the style of another; with an offset where it has one.

    >>> written(3600 * SECOND, "2024-01-01 00:00:00"), written(0, "2024-01", None), written(7, "3")
    ('1970-01-01 01:00:00', '1970-01', '7')
    >>> written(3600 * SECOND, "2024-01-01T00:00+02:00", 3600 * SECOND)
    '1970-01-01T01:00+01:00'
    """
    if style.strip().removeprefix("-").removesuffix(".0").isdecimal():
        return str(wall)
    time = EPOCH + wall * MICROSECOND
    if QUARTER.fullmatch(style):
        return f"{time.year:04}Q{(time.month + 2) // 3}"
    if re.fullmatch(r"\d{4}[-/]\d{1,2}", style):
        return f"{time:%Y-%m}"
    clock = re.search(r"([T ])\d\d(?::?\d\d)?(?::?(\d\d))?([.,]\d+)?", style)
    if clock is None and not wall % DAY:
        return time.date().isoformat()
    separator, seconds, fraction = clock.groups() if clock else ("T", "00", None)
    exact = "microseconds" if fraction or wall % SECOND else "seconds" if seconds or wall % (60 * SECOND) else "minutes"
    if offset is not None:
        time = time.replace(tzinfo=UTC if offset == 0 else timezone(offset * MICROSECOND))
    text = time.isoformat(separator, exact)
    return text.removesuffix("+00:00") + "Z" if style.endswith("Z") and offset == 0 else text
