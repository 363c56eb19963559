"""Series in long tables: a row for each step, with the id of its series, its time and its values."""

from __future__ import annotations

import math
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.labelled import LabelColumns, Labelled
from elman.data.table import DataTable, number, read_table
from elman.data.timeseries import Series
from elman.errors import UserError


def read_long(values: Path, labels: Path, columns: LabelColumns) -> Labelled:
    """Series of the columns id, time and values, with the labels of the columns id and label; in the order of labels.

    The order of the rows of values does not matter. Raises `UserError` with the lines of a time or an id that comes
    twice, and of an id that only one of the tables has.
    """
    series, table = read_steps(read_table(values), columns), read_table(labels)
    cells, rows = table.column(columns.label, renamed("label")), dict[str, int]()
    for row, name in enumerate(_ids(table, columns)):
        if name in rows:
            got = f"{name!r} again, after {table.unit} {table.lines[rows[name]]}"
            raise UserError(table.place(row), expected="each id once", got=got)
        if name not in series:
            raise UserError(table.place(row), expected=f"the id of a series in {values}", got=repr(name))
        rows[name] = row
    for name, (_, place) in series.items():
        if name not in rows:
            raise UserError(place, expected=f"an id that has a label in {labels}", got=repr(name))
    places = [table.place(row) for row in range(len(table))]
    return Labelled(f"{values} and {labels}", [series[name][0] for name in rows], cells, places, ids=list(rows))


def read_steps(table: DataTable, columns: LabelColumns) -> dict[str, tuple[Series, str]]:
    """The series of a long table by their ids, each in the order of its times, and the place of its first row.

    All columns but id, time and label are channels.
    """
    ids, times = _ids(table, columns), _times(table, columns)
    channels = [name for name in table.columns if name not in (columns.id_column, columns.time_column, columns.label)]
    if not channels:
        got = "none"
        raise UserError(
            table.name, expected=f"columns of values beside {columns.id_column} and {columns.time_column}", got=got
        )
    values = np.stack([table.numbers(name) for name in channels], 1)  # (rows, D)
    of = dict[str, list[int]]()
    for row, name in enumerate(ids):
        of.setdefault(name, []).append(row)
    return {name: (values[_in_time(rows, times, table, name)], table.place(rows[0])) for name, rows in of.items()}


def _in_time(rows: list[int], times: list[Any], table: DataTable, name: str) -> list[int]:
    rows = sorted(rows, key=lambda row: times[row])
    for before, row in pairwise(rows):
        if times[before] == times[row]:
            first, second = sorted((before, row))
            got = f"two rows of {name!r}, the other in {table.unit} {table.lines[first]}"
            raise UserError(table.place(second), expected="a row for each id and time", got=got)
    return rows


def _ids(table: DataTable, columns: LabelColumns) -> list[str]:
    names = []
    for row, cell in enumerate(table.column(columns.id_column, renamed("id_column"))):
        if cell is None or not str(cell).strip():
            raise UserError(table.place(row), expected="an id", got="none")
        names.append(str(cell).strip())
    return names


def _times(table: DataTable, columns: LabelColumns) -> list[Any]:
    """Times to sort by: all are numbers, or moments with an offset, or moments without, as the first is."""
    cells = table.column(columns.time_column, renamed("time_column"))
    times = [_time(cell) for cell in cells]
    for row, time in enumerate(times):
        if time is None or type(time) is not type(times[0]) or _aware(time) != _aware(times[0]):
            expected = "a number, or a time such as 2024-03-17 or 2024-03-17T10:00:00+01:00"
            if time is not None and row:
                expected = f"a time of the same form as the first, {cells[0]!r}"
            where = f"{table.place(row)}, column {columns.time_column!r}"
            raise UserError(where, expected=expected, got=repr(cells[row]))
    return times


def _time(cell: Any) -> float | datetime | None:
    value = number(cell)
    if value is not None:
        return None if math.isnan(value) else value
    try:
        return datetime.fromisoformat(str(cell).strip())
    except ValueError:
        return None


def _aware(time: float | datetime) -> bool:
    return isinstance(time, datetime) and time.tzinfo is not None


def renamed(column: str) -> str:
    """The remedy where a column has another name."""
    return f"--set data.{column}=NAME where it is called otherwise"
