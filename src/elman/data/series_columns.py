"""The roles of a table's columns in forecasting: time, id, target, and what else is known of a series.

A long table has a row for each step of each series (`unique_id, ds, y`, further columns); a wide table has a row for
each step, and a column for each series (`date, a, b, c`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.data.structures import are_times
from elman.data.table import DataTable, number
from elman.errors import UserError

TIMES = ("ds", "date", "time", "timestamp", "datetime")
IDS = ("unique_id", "id", "series_id", "item_id", "series")
TARGETS = ("y", "value", "target")


@dataclass(frozen=True)
class SeriesColumns:
    """The columns that a person named; those that are None are found by the usual names.

    `past` are known up to the present, `future` are known ahead, and `static` do not change in a series.
    """

    id: str | None = None
    time: str | None = None
    target: str | None = None
    past: tuple[str, ...] | None = None  # None: all further columns of numbers
    future: tuple[str, ...] = ()
    static: tuple[str, ...] | None = None  # None: all further columns of words

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


@dataclass(frozen=True)
class Roles:
    """The columns of one table: of a long table one target, of a wide table one for each series."""

    id: str | None
    time: str
    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()


def find_roles(table: DataTable, columns: SeriesColumns) -> Roles:
    """The roles of a table's columns. Raises `UserError` where a column is missing, or none can be told."""
    for name in (
        columns.id,
        columns.time,
        columns.target,
        *(columns.past or ()),
        *columns.future,
        *(columns.static or ()),
    ):
        if name is not None:
            table.column(name)
    first = next(iter(table.columns))
    times = first if are_times(first, table.columns[first]) else None  # by which tables are recognised too
    time = columns.time or _named(table, (*TIMES, "")) or times
    if time is None:
        remedy = f"call it {TIMES[0]}, or --set time_column=NAME"
        raise UserError(table.name, expected="a column of times", got=_list(table.columns), remedy=remedy)
    series = columns.id or _named(table, IDS)
    others = [name for name in table.columns if name not in (time, series, "")]  # "" is the index of a data frame
    target = columns.target or _named(table, TARGETS)
    if target is None and series is None and not columns.past and not columns.future:
        if not others:
            raise UserError(table.name, expected=f"columns of numbers beside {time!r}", got="none")
        return Roles(None, time, tuple(others))  # wide
    if target is None and len(others) == 1:
        target = others[0]
    if target is None:
        remedy = f"call it {TARGETS[0]}, or --set target_column=NAME"
        raise UserError(table.name, expected="a column of values to forecast", got=_list(table.columns), remedy=remedy)
    return Roles(series, time, (target,), *_further(table, columns, [name for name in others if name != target]))


def _further(table: DataTable, columns: SeriesColumns, others: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The names of past, future-known and static columns."""
    free = [name for name in others if name not in (*(columns.past or ()), *columns.future, *(columns.static or ()))]
    numeric = [name for name in free if all(number(cell) is not None for cell in table.columns[name])]
    past = tuple(numeric) if columns.past is None else columns.past
    static = tuple(name for name in free if name not in numeric) if columns.static is None else columns.static
    return past, columns.future, static


def static_cells(
    table: DataTable, name: str, rows: npt.NDArray[np.int64], series: npt.NDArray[np.int64], ids: Sequence[str]
) -> list[Any]:
    """The one cell of each series in a static column, from the rows (V,) of the `series` (V,).

    An empty cell says nothing: rows of the steps to come need not say again what does not change. Raises `UserError`,
    with their lines, where a series has two.
    """
    first, empty = dict[int, int](), dict[int, int]()
    cells = table.columns[name]
    for row, at in sorted(zip(rows.tolist(), series.tolist(), strict=True)):
        if cells[row] is None or cells[row] == "":
            empty.setdefault(at, row)
        elif cells[first.setdefault(at, row)] != cells[row]:
            where = f"{table.place(row)}, column {name!r}"
            expected = f"{cells[first[at]]!r} as in {table.unit} {table.lines[first[at]]}, for {ids[at]!r}"
            remedy = "leave the column out, or --set past=NAME for numbers that change"
            raise UserError(where, expected=expected, got=repr(cells[row]), remedy=remedy)
    found = empty | first
    return [cells[found[at]] for at in range(len(ids))]


def _named(table: DataTable, names: Iterable[str]) -> str | None:
    by_name = {name.lower(): name for name in reversed(list(table.columns))}
    return next((by_name[name] for name in names if name in by_name), None)


def _list(names: Iterable[str]) -> str:
    names = list(map(repr, names))
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
