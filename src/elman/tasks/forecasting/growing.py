"""Series that grow row by row: a new row is read alone, where that tells the same as reading all rows anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from elman.data.calendar import NUMBERED, Calendar
from elman.data.panel import LARGEST, MOST_MISSING, SMALL, Floats, Panel, numbers_of
from elman.data.series_columns import Roles, find_roles
from elman.data.table import DataTable, table_of
from elman.data.timestamps import parse_times
from elman.errors import UserError
from elman.tasks.exchange import Trained
from elman.tasks.forecasting.prediction import panel_in_memory
from elman.tasks.forecasting.told import Told, panel_of

NUMBERS = Roles("unique_id", "ds", ("y",))  # of a series without times


class GrowingSeries:
    """One series of a stream: its rows by their times, or its numbers.

    The panel after each row is that of `panel_in_memory` for all rows, errors among them. Rows whose places depend on
    each other, as of a table with a column for each series, are read by it.
    """

    def __init__(self, run: Trained, name: str) -> None:
        self.run, self.name = run, name
        self.rows: dict[Any, Any] = {}  # by time
        self.simple = True  # whether each row could be read alone
        self._places: dict[int, Any] = {}  # the time of each position that is taken
        self._first: _Row | None = None  # the one with the first position
        self._offset = 0  # of the last one
        self._values = np.zeros((0, 0))  # (T, C) of the steps from the first position to the last

    def panel(self, time: Any, row: float | Mapping[str, Any]) -> Panel:
        """The series with one more row, or with another in its place. Raises `ValueError`; the series is as before."""
        read = self._read(row) if self.simple else None
        made = None if read is None else self._grown(time, read)
        if made is None:
            made = panel_in_memory(self.run, [*{**self.rows, time: row}.values()], self.name)
            self.simple = False
        self.rows[time] = row
        return made

    def _read(self, row: float | Mapping[str, Any]) -> _Row | None:
        """A row by itself, None where that cannot be."""
        if not isinstance(row, Mapping):
            number = _Row(len(self.rows), 0, np.array([row]), None, self.name, {}, NUMBERS, NUMBERED)
            return None if abs(row) > LARGEST else number
        columns, calendar = self.run.columns, self.run.codecs.get("calendar")
        if calendar is None or columns.past is None or columns.static is None:
            return None
        try:
            table = table_of([(1, row)], self.name)
            roles = find_roles(table, columns)
            return None if len(roles.targets) > 1 else _row_of(table, roles, calendar)
        except UserError:
            return None

    def _grown(self, time: Any, row: _Row) -> Panel | None:
        """The panel with a row that was read, None where it does not fit those before."""
        first, step = self._first or row, row.calendar.step
        if (row.roles, row.id, row.static) != (first.roles, first.id, first.static):
            return None
        if self._places.get(row.position, time) != time:
            return None
        begin = min(first.position, row.position)
        before, rest = divmod(first.position - begin, step)
        at, other = divmod(row.position - begin, step)
        length = max(before + len(self._values), at + 1)
        if rest or other or length > MOST_MISSING * len(self._places) + SMALL:
            return None
        values = np.full((length, len(row.values)), np.nan)
        values[before : before + len(self._values)] = self._values.reshape(-1, len(row.values))
        values[at] = row.values
        if np.isnan(values[:, 0]).all():
            return None
        self._places[row.position] = time
        self._values, self._first = values, row if row.position <= first.position else first
        self._offset = row.offset if at == length - 1 else self._offset
        told = Told(values, self._first.time, row.id, row.static)
        return replace(
            panel_of([told], row.roles, row.calendar), name=self.name, offsets=np.array([self._offset], np.int64)
        )


class _Row(NamedTuple):
    """A row of a series: its place on the calendar, and what else it says."""

    position: int
    offset: int
    values: Floats  # (C,): the target, the columns of the past, those that are known ahead
    time: Any
    id: str
    static: Mapping[str, Any]
    roles: Roles
    calendar: Calendar


def _row_of(table: DataTable, roles: Roles, calendar: Calendar) -> _Row | None:
    """The one row of a table. Raises `UserError` as `read_panel`; None where it has no series, or no step."""
    name = roles.targets[0] if roles.id is None else table.columns[roles.id][0]
    times = parse_times(table.column(roles.time), lambda row: roles.time)
    position = int(calendar.positions(times)[0])
    if name in (None, "") or isinstance(name, list | dict) or not calendar.fits(times).all():
        return None
    values = numbers_of(table, (*roles.targets, *roles.past, *roles.future))[0]
    static = {column: table.columns[column][0] for column in roles.static}
    time = table.columns[roles.time][0]
    return _Row(position, int(times.offsets[0]), values, time, str(name), static, roles, calendar)
