"""A panel: many time series on one calendar, read from a long or a wide table whose rows may be in any order.

Steps between the first and the last value of a series that the table lacks are missing values, NaN, which nothing
counts or fills.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from elman.data.calendar import Calendar, find_calendar
from elman.data.columns import Columns, Roles, find_roles, static_cells
from elman.data.table import DataTable
from elman.data.timestamps import Integers, Times, parse_times, written
from elman.errors import UserError

Floats: TypeAlias = npt.NDArray[np.float64]

MOST_MISSING = 100  # steps for each row, beyond which the step is not what it seems
SMALL = 10_000  # steps that are never too many


@dataclass(frozen=True)
class Panel:
    """N series, one after the other in `values` (S,): series n has the steps from `bounds[n]` to `bounds[n + 1]`.

    A series begins with its first value. Its `lengths[n]` steps end with its last value; columns that are known ahead
    may go on beyond it. NaN is a missing value.
    """

    name: str
    calendar: Calendar
    ids: tuple[str, ...]  # in their order
    starts: Integers  # (N,) the calendar's positions of the first steps
    offsets: Integers  # (N,) microseconds ahead of UTC, at the ends
    bounds: Integers  # (N + 1,)
    lengths: Integers  # (N,)
    values: Floats  # (S,)
    past: Floats  # (S, P)
    future: Floats  # (S, F) known ahead
    static: Mapping[str, list[Any]]  # by column, a cell for each series
    roles: Roles
    empty: tuple[str, ...] = field(default=())  # ids of series without a value, which are left out

    def __len__(self) -> int:
        return len(self.ids)

    def series(self, index: int) -> Floats:
        """The values of a series (T,), NaN where one is missing."""
        return self.values[self.bounds[index] : self.bounds[index] + self.lengths[index]]

    def times(self, index: int, step: int, count: int) -> list[str]:
        """The times of `count` steps of a series, from its `step` on."""
        position = int(self.starts[index]) + (step - 1) * self.calendar.step
        return self.calendar.texts(position, count, int(self.offsets[index]))

    @property
    def missing(self) -> int:
        """How many values are missing between the first and the last one of a series."""
        inside = np.arange(len(self.values)) - np.repeat(self.bounds[:-1], np.diff(self.bounds))
        return int(np.isnan(self.values[inside < np.repeat(self.lengths, np.diff(self.bounds))]).sum())

    @property
    def fingerprint(self) -> str:
        """A hash of everything in the panel but its name."""
        digest = hashlib.sha256(repr((self.ids, self.calendar, self.roles, dict(self.static))).encode())
        for part in (self.starts, self.bounds, self.lengths, self.values, self.past, self.future):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


def read_panel(table: DataTable, columns: Columns = Columns(), calendar: Calendar | None = None) -> Panel:
    """The series of a table, on a calendar that is given or found.

    Raises `UserError`, with the line of the table: a cell that is no time or no number, two rows for one step of a
    series, a time that is no step of the calendar; and where no series has a value.
    """
    roles = find_roles(table, columns)
    times = parse_times(table.column(roles.time), lambda row: f"{table.place(row)}, column {roles.time!r}")
    ids, rows, series, values = _rows(table, roles)
    if calendar is None:
        calendar = find_calendar(_select(times, rows), series, table.name)
    if not (fitting := calendar.fits(times)).all():
        raise _no_step(table, roles, times, calendar, int(np.flatnonzero(~fitting)[0]))
    at = calendar.positions(times)[rows]
    order = np.lexsort((at, series))
    rows, series, values, at = rows[order], series[order], values[order], at[order]
    first = np.searchsorted(series, np.arange(len(ids)))
    steps, rest = np.divmod(at - at[first][series], calendar.step)
    if rest.any():
        raise _no_step(table, roles, times, calendar, int(rows[np.flatnonzero(rest)[0]]))
    same = np.flatnonzero((np.diff(steps) == 0) & (np.diff(series) == 0))
    if len(same):
        raise _twice(table, times, ids[series[same[0]]], *sorted(rows[same[0] : same[0] + 2].tolist()))
    there = ~np.isnan(values)
    begin, end = np.full(len(ids), np.iinfo(np.int64).max), np.full(len(ids), -1)
    np.minimum.at(begin, series[there], steps[there])
    np.maximum.at(end, series[there], steps[there])
    kept = np.flatnonzero(end >= 0)
    if not len(kept):
        raise UserError(f"{table.name} holds no values", remedy=f"fill the column {roles.targets[0]!r} with numbers")
    lengths = end[kept] - begin[kept] + 1
    last = end.copy()
    if roles.future:  # which go on where there are no values yet
        np.maximum.at(last, series, steps)
    bounds = np.concatenate([[0], np.cumsum(last[kept] - begin[kept] + 1)])
    if bounds[-1] > MOST_MISSING * len(rows) + SMALL:
        raise UserError(
            f"{table.name} lacks nearly all of {bounds[-1]:,} steps of {calendar.step_name}",
            expected=f"values at one step of {MOST_MISSING} at least",
            got=f"{len(rows):,}",
            remedy="give series of one step",
        )
    place = np.full(len(ids), -1)
    place[kept] = bounds[:-1] - begin[kept]
    inside = np.flatnonzero((end[series] >= 0) & (steps >= begin[series]) & (steps <= last[series]))
    target = place[series[inside]] + steps[inside]

    def laid_out(names: tuple[str, ...]) -> Floats:
        cells = np.stack([table.numbers(name) for name in names], 1) if names else np.zeros((len(table), 0))
        made = np.full((bounds[-1], len(names)), np.nan)
        made[target] = cells[rows[inside]]
        return made

    laid = np.full(bounds[-1], np.nan)
    laid[target] = values[inside]
    ends = np.searchsorted(series, np.arange(len(ids)), side="right") - 1
    by_row = np.empty(len(series), np.int64)
    by_row[rows] = series  # of a long table, whose static columns have a cell a row
    static = {name: static_cells(table, name, by_row, ids) for name in roles.static}
    return Panel(
        table.name,
        calendar,
        tuple(ids[n] for n in kept),
        at[first][kept] + begin[kept] * calendar.step,
        times.offsets[rows[ends]][kept],
        bounds,
        lengths,
        laid,
        laid_out(roles.past),
        laid_out(roles.future),
        {name: [cells[n] for n in kept] for name, cells in static.items()},
        roles,
        tuple(ids[n] for n in np.flatnonzero(end < 0)),
    )


def _rows(table: DataTable, roles: Roles) -> tuple[list[str], Integers, Integers, Floats]:
    """Ids, and for each value its row, its series and itself; ids are in their order, whatever that of the rows."""
    values = np.stack([table.numbers(name) for name in roles.targets])  # (K, R)
    K, R = values.shape
    if roles.id is None:
        ids = sorted(roles.targets)
        code = np.array([ids.index(name) for name in roles.targets]).repeat(R)
        return ids, np.tile(np.arange(R), K), code, values.reshape(-1)
    cells = table.columns[roles.id]
    for row, cell in enumerate(cells):
        if cell is None or cell == "":
            raise UserError(f"{table.place(row)}, column {roles.id!r}", expected="the id of a series", got="none")
    names = list(map(str, cells))
    ids = sorted(dict.fromkeys(names))
    codes = {name: code for code, name in enumerate(ids)}
    return ids, np.arange(R), np.array([codes[name] for name in names]), values[0]


def _select(times: Times, rows: Integers) -> Times:
    return Times(times.kind, times.wall[rows], times.offsets[rows], times.style)


def _no_step(table: DataTable, roles: Roles, times: Times, calendar: Calendar, row: int) -> UserError:
    where = f"{table.place(row)}, column {roles.time!r}"
    got = table.columns[roles.time][row]
    return UserError(
        where,
        expected=f"steps of {calendar.step_name} from the first time of the series",
        got=repr(got),
        remedy="give series of one step in a file, and leave out steps that are missing",
    )


def _twice(table: DataTable, times: Times, name: str, first: int, second: int) -> UserError:
    time = written(int(times.wall[first]), times.style, int(times.offsets[first]) if times.kind == "offset" else None)
    remedy = "keep one of them, or name the column of the series' ids: --set id_column=NAME"
    if times.kind == "naive" and times.wall[first] % (86_400 * 10**6):
        remedy += "; where the clocks were put back, write the offset from UTC: 2024-10-27T02:00+01:00"
    lines = f"{table.unit}s {table.lines[first]} and {table.lines[second]}"
    return UserError(f"{table.name}, {lines}", expected=f"one row for {name!r} at {time}", got="two", remedy=remedy)
