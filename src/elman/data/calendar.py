"""The steps of time series: how far apart they are, what their times are called, and how long a season is.

Steps are whole numbers, equal stretches of time, days without weekends, or months. Hours are counted in UTC, where no
hour is missing or double when clocks are changed; days are counted on the wall, where each has one midnight.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from elman.data.timestamps import DAY, SECOND, Integers, Kind, Times, written
from elman.errors import UserError
from elman.wording import counted

Unit = Literal["number", "microsecond", "business day", "month"]

FULL = 2 / 3  # of the steps have a row
WEEKS = 2  # of days without a weekend, before days are taken for business days
MONTHS = {1: 12, 3: 4}  # steps of a season, by the months of a step
NAMES = {"week": 7 * DAY, "day": DAY, "hour": 3600 * SECOND, "minute": 60 * SECOND, "second": SECOND}


@dataclass(frozen=True)
class Calendar:
    """The step of a panel's series, and how their times are written."""

    kind: Kind
    unit: Unit
    step: Annotated[int, Field(ge=1)]  # units
    local: bool  # whether times with offsets are counted on the wall, not in UTC
    day: Annotated[int, Field(ge=0, le=31)]  # of each month; 0: its last
    clock: Annotated[int, Field(ge=0, lt=DAY)]  # microseconds since midnight, of business days and months
    style: str  # one of the times, as an example

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    @property
    def step_name(self) -> str:
        """The step in words.

        >>> Calendar("naive", "microsecond", 3600 * SECOND, False, 0, 0, "2024-01-01 00:00").step_name
        '1 hour'
        """
        if self.unit != "microsecond":
            return counted(self.step, "step" if self.unit == "number" else self.unit)
        name = next((name for name, length in NAMES.items() if self.step % length == 0), "microsecond")
        return counted(self.step // NAMES.get(name, 1), name)

    def positions(self, times: Times, where: str = "times") -> Integers:
        """The places (N,) of times on a line, in units. Raises `UserError` where they are of another kind."""
        if times.kind != self.kind:
            names = {
                "integer": "whole numbers",
                "naive": "times without offsets",
                "offset": "times with offsets from UTC",
            }
            raise UserError(where, expected=f"{names[self.kind]}, as in training", got=names[times.kind])
        if self.unit == "month":
            return _months(times.wall)
        if self.unit == "business day":
            return np.busday_count("1970-01-01", _dates(times.wall)).astype(np.int64)
        return times.wall if self.local else times.instants

    @property
    def day_name(self) -> str:
        """The days that `fits` takes, in words; "" where it takes all times."""
        if self.unit == "business day":
            return f"business days, at {_clock(self.clock)}"
        day = f"day {self.day}" if self.day else "the last day"
        return f"{day} of a month, at {_clock(self.clock)}" if self.unit == "month" else ""

    def fits(self, times: Times) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether each time (N,) is one of the calendar's days, at its time of day."""
        if self.unit == "business day":
            return (times.wall % DAY == self.clock) & np.is_busday(_dates(times.wall))
        if self.unit == "month":
            days = _days_of_month(times.wall)
            return (times.wall % DAY == self.clock) & (days == (_last_days(times.wall) if self.day == 0 else self.day))
        return np.ones(len(times.wall), np.bool_)

    def texts(self, position: int, count: int, offset: int) -> list[str]:
        """The times of `count` steps after the one at `position`, by a clock that is `offset` ahead of UTC."""
        at = position + self.step * np.arange(1, count + 1)
        if self.unit == "business day":
            first = np.datetime64("1970-01-01", "D")
            wall = np.busday_offset(first, at).astype("datetime64[us]").astype(np.int64) + self.clock
        elif self.unit == "month":
            months = at.astype("datetime64[M]")
            last = (months + 1).astype("datetime64[D]") - 1
            days = last if self.day == 0 else np.minimum(months.astype("datetime64[D]") + self.day - 1, last)
            wall = days.astype("datetime64[us]").astype(np.int64) + self.clock
        else:
            wall = at if self.local or self.kind != "offset" else at + offset
        return [written(int(each), self.style, offset if self.kind == "offset" else None) for each in wall]

    def season(self, length: int) -> int:
        """The steps of a season, of which series of this length have two; 1 where there is none."""
        if self.unit == "month":
            seasons = [MONTHS.get(self.step, 1)]
        elif self.unit == "business day":
            seasons = [5] if self.step == 1 else []
        elif self.unit == "number":
            seasons = []
        elif self.step >= DAY:
            seasons = [{DAY: 7, 7 * DAY: 52}.get(self.step, 1)]
        else:
            seasons = [long // self.step for long in (DAY, NAMES["hour"], NAMES["minute"]) if long % self.step == 0]
        return next((season for season in seasons if season > 1 and 2 * season <= length), 1)


NUMBERED = Calendar("integer", "number", 1, False, 0, 0, "0")
"""The calendar of values without times."""


def find_calendar(times: Times, series: Integers, where: str) -> Calendar:
    """The calendar of rows, from their times and the series (N,) that each belongs to; their order does not matter.

    The step is the longest that leads to every time, unless it is so short that a third of the steps would be missing:
    then it is the most frequent difference between neighbours of a series, of two equally frequent ones the smaller.
    Raises `UserError` where no series has two times.
    """

    def build(unit: Unit, step: int, local: bool = False, day: int = 0, clock: int = 0) -> Calendar:
        return Calendar(times.kind, unit, step, local, day, clock, times.style)

    if times.kind == "integer":
        return build("number", _step(times.wall, series, where))
    clocks, days = np.unique(times.wall % DAY), _days_of_month(times.wall)
    month_ends = bool((days == _last_days(times.wall)).all())
    if len(clocks) == 1 and (month_ends or (days == days[0]).all()):
        months = _step(_months(times.wall), series, where)
        return build("month", months, True, 0 if month_ends else int(days[0]), int(clocks[0]))
    step = _step(times.wall, series, where)
    dates = np.unique(_dates(times.wall))
    if len(clocks) == 1 and step == DAY and len(dates) >= 5 * WEEKS and np.is_busday(dates).all():
        return build("business day", 1, True, 0, int(clocks[0]))
    local = times.kind == "offset" and step % DAY == 0
    return build("microsecond", step if local else _step(times.instants, series, where), local)


def _step(positions: Integers, series: Integers, where: str) -> int:
    order = np.lexsort((positions, series))
    gaps = np.diff(positions[order])[np.diff(series[order]) == 0]
    lengths, counts = np.unique(gaps[gaps > 0], return_counts=True)
    if not len(lengths):
        got = "several rows of a series at one time" if len(gaps) else "one step of each"
        remedy = "name the column of the series' ids: --set id_column=NAME" if len(gaps) else ""
        raise UserError(where, expected="a series of two steps or more", got=got, remedy=remedy)
    longest = int(np.gcd.reduce(lengths))
    rows, steps = len(gaps) + 1, int(gaps.sum()) // longest + 1
    return longest if rows >= FULL * steps else int(lengths[counts.argmax()])


def _clock(microseconds: int) -> str:
    return written(microseconds, "1970-01-01 00:00").partition(" ")[2]


def _dates(wall: Integers) -> Any:
    return wall.astype("datetime64[us]").astype("datetime64[D]")


def _months(wall: Integers) -> Integers:
    return _dates(wall).astype("datetime64[M]").astype(np.int64)


def _days_of_month(wall: Integers) -> Integers:
    dates = _dates(wall)
    return (dates - dates.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1


def _last_days(wall: Integers) -> Integers:
    months = _dates(wall).astype("datetime64[M]")
    return ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
