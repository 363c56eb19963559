"""A panel: many time series on one calendar, read from a long or a wide table whose rows may be in any order.

Steps between the first and the last value of a series that the table lacks are missing values, NaN, which nothing
counts or fills.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from elman.data.calendar import Calendar, find_calendar
from elman.data.series_columns import Roles, SeriesColumns, find_roles, static_cells
from elman.data.table import DataTable
from elman.data.timestamps import DAY, Integers, Times, parse_times, written
from elman.errors import UserError

Floats: TypeAlias = npt.NDArray[np.float64]

MOST_MISSING = 100  # steps for each row, beyond which the step is not what it seems
LARGEST = 1e100  # value, so that sums of squares are finite
SMALL = 10_000  # steps that are never too many
USUAL = SeriesColumns()


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
        names = (self.roles.past, self.roles.future, dict(self.static))
        digest = hashlib.sha256(repr((self.ids, self.calendar, names)).encode())
        for part in (self.starts, self.bounds, self.lengths, self.values, self.past, self.future):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


def read_panel(table: DataTable, columns: SeriesColumns = USUAL, calendar: Calendar | None = None) -> Panel:
    """The series of a table, on a calendar that is given or found.

    Raises `UserError`, with the line of the table: a cell that is no time or no number, two rows for one step of a
    series, a time that is no step of the calendar; and where no series has a value.
    """
    roles = find_roles(table, columns)
    times = parse_times(table.column(roles.time), lambda row: f"{table.place(row)}, column {roles.time!r}")
    ids, cells = _cells(table, roles)
    if calendar is None:
        calendar = find_calendar(times.at(cells.row), cells.series, table.name)
    cells, starts = _in_steps(table, roles, times, calendar, ids, cells)
    begin, end = (np.full(len(ids), start) for start in (np.iinfo(np.int64).max, -1))
    there = ~np.isnan(cells.value)
    np.minimum.at(begin, cells.series[there], cells.step[there])
    np.maximum.at(end, cells.series[there], cells.step[there])
    kept = np.flatnonzero(end >= 0)
    if not len(kept):
        raise UserError(f"{table.name} holds no values", remedy=f"fill the column {roles.targets[0]!r} with numbers")
    last = end.copy()
    if roles.future:  # which go on where there are no values yet
        np.maximum.at(last, cells.series, cells.step)
    bounds = np.concatenate([[0], np.cumsum((last - begin + 1)[kept])])
    _check_size(table, calendar, int(bounds[-1]), len(cells.row))
    # Where each cell goes: those before the first value and after the last step go nowhere.
    inside = (cells.step >= begin[cells.series]) & (cells.step <= last[cells.series])
    shift = np.zeros(len(ids), np.int64)
    shift[kept] = bounds[:-1] - begin[kept]
    place = (shift[cells.series] + cells.step)[inside]

    def laid_out(values: Floats) -> Floats:
        made = np.full((bounds[-1], *values.shape[1:]), np.nan)
        made[place] = values[inside]
        return made

    newest = cells.row[np.searchsorted(cells.series, np.arange(len(ids)), side="right") - 1]
    past, future = (numbers_of(table, names)[cells.row] for names in (roles.past, roles.future))
    static = {name: static_cells(table, name, cells.row, cells.series, ids) for name in roles.static}
    return Panel(
        table.name,
        calendar,
        tuple(ids[n] for n in kept),
        (starts + begin * calendar.step)[kept],
        times.offsets[newest][kept],
        bounds,
        (end - begin + 1)[kept],
        laid_out(cells.value),
        laid_out(past),
        laid_out(future),
        {name: [found[n] for n in kept] for name, found in static.items()},
        roles,
        tuple(ids[n] for n in np.flatnonzero(end < 0)),
    )


class _Cells(NamedTuple):
    """V cells of targets: the table's row of each, its series, its step from the first of the series, its value."""

    row: Integers
    series: Integers
    step: Integers
    value: Floats


def _cells(table: DataTable, roles: Roles) -> tuple[list[str], _Cells]:
    """Ids, in their order whatever that of the rows, and the cells of all targets; steps are not known yet."""
    values = numbers_of(table, roles.targets)  # (R, K)
    R, K = values.shape
    if roles.id is None:
        ids = sorted(roles.targets)
        series = np.array([ids.index(name) for name in roles.targets]).repeat(R)
        row = np.tile(np.arange(R), K)
        return ids, _Cells(row, series, row, values.T.reshape(-1))
    names = table.columns[roles.id]
    for at, name in enumerate(names):
        if name is None or name == "" or isinstance(name, list | dict):
            got = "none" if name is None or name == "" else repr(name)
            raise UserError(f"{table.place(at)}, column {roles.id!r}", expected="the id of a series", got=got)
    ids = sorted(dict.fromkeys(map(str, names)))
    codes = {name: code for code, name in enumerate(ids)}
    row = np.arange(R)
    return ids, _Cells(row, np.array([codes[str(name)] for name in names]), row, values[:, 0])


def _in_steps(
    table: DataTable, roles: Roles, times: Times, calendar: Calendar, ids: list[str], cells: _Cells
) -> tuple[_Cells, Integers]:
    """Cells by series and step, and where each series starts (N,). Raises `UserError`, as `read_panel`."""
    step = f"{calendar.step_name} from the first time of the series"
    position = calendar.positions(times, f"{table.name}, column {roles.time!r}")[cells.row]
    if not (fitting := calendar.fits(times)).all():
        raise _no_step(table, roles, int(np.flatnonzero(~fitting)[0]), calendar.day_name or step)
    order = np.lexsort((position, cells.series))
    row, series, value, position = cells.row[order], cells.series[order], cells.value[order], position[order]
    starts = position[np.searchsorted(series, np.arange(len(ids)))]
    steps, rest = np.divmod(position - starts[series], calendar.step)
    if rest.any():
        raise _no_step(table, roles, int(row[np.flatnonzero(rest)[0]]), f"a multiple of {step}")
    same = np.flatnonzero((np.diff(steps) == 0) & (np.diff(series) == 0))
    if len(same):
        raise _twice(table, times, ids[series[same[0]]], *sorted(row[same[0] : same[0] + 2].tolist()))
    return _Cells(row, series, steps, value), starts


def numbers_of(table: DataTable, names: tuple[str, ...]) -> Floats:
    """Columns of numbers (R, K). Raises `UserError` where a cell is no number, or one whose square is too large."""
    values = np.stack([table.numbers(name) for name in names], 1) if names else np.zeros((len(table), 0))
    if len(large := np.argwhere(np.abs(values) > LARGEST)):
        row, name = int(large[0, 0]), names[large[0, 1]]
        where, got = f"{table.place(row)}, column {name!r}", table.columns[name][row]
        raise UserError(where, expected=f"a number of at most {LARGEST:g}", got=repr(got))
    return values


def _check_size(table: DataTable, calendar: Calendar, steps: int, cells: int) -> None:
    if steps > MOST_MISSING * cells + SMALL:
        raise UserError(
            f"{table.name} lacks nearly all of {steps:,} steps of {calendar.step_name}",
            expected=f"a value at one step of {MOST_MISSING} at least",
            got=f"{cells:,}",
            remedy="give series of one step",
        )


def _no_step(table: DataTable, roles: Roles, row: int, expected: str) -> UserError:
    where, got = f"{table.place(row)}, column {roles.time!r}", repr(table.columns[roles.time][row])
    remedy = "give series of one step in a file; rows of missing steps may be left out"
    return UserError(where, expected=expected, got=got, remedy=remedy)


def _twice(table: DataTable, times: Times, name: str, first: int, second: int) -> UserError:
    time = written(int(times.wall[first]), times.style, int(times.offsets[first]) if times.kind == "offset" else None)
    remedy = "keep one of them, or name the column of the series' ids: --set id_column=NAME"
    if times.kind == "naive" and times.wall[first] % DAY:
        remedy += "; where the clocks were put back, write the offset from UTC: 2024-10-27T02:00+01:00"
    lines = f"{table.unit}s {table.lines[first]} and {table.lines[second]}"
    return UserError(f"{table.name}, {lines}", expected=f"one row for {name!r} at {time}", got="two", remedy=remedy)
