"""Series that grow row by row are the panels of all their rows, errors among them, and each row is read once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import table
from elman.data.calendar import Calendar
from elman.data.panel import Panel
from elman.data.series_columns import SeriesColumns
from elman.data.timestamps import DAY
from elman.tasks.forecasting import growing
from elman.tasks.forecasting.growing import GrowingSeries
from elman.tasks.forecasting.prediction import panel_in_memory

DAILY = Calendar("offset", "microsecond", DAY, True, 0, 0, "2024-01-01T00:00+00:00")
COLUMNS = SeriesColumns(target="y", past=("rain",), future=("price",), static=("shop",))
ALONE = SeriesColumns(past=(), static=())


def run_of(columns: SeriesColumns, calendar: Calendar | None = DAILY) -> Any:
    return SimpleNamespace(columns=columns, codecs={} if calendar is None else {"calendar": calendar})


def facts(panel: Panel) -> Any:
    return panel.fingerprint, panel.name, panel.ids, panel.lengths.tolist(), panel.offsets.tolist(), panel.roles


def check_grows(run: Any, rows: list[tuple[Any, Any]]) -> GrowingSeries:
    series, known = GrowingSeries(run, "stdin"), dict[Any, Any]()
    for time, row in rows:
        found: Any
        try:
            expected: Any = facts(panel_in_memory(run, [*{**known, time: row}.values()], "stdin"))
            known[time] = row
        except ValueError as error:
            expected = str(error)
        try:
            found = facts(series.panel(time, row))
        except ValueError as error:
            found = str(error)
        assert found == expected
        assert series.rows == known
    return series


def row_at(day: int, y: Any = 1.0, hours: int = 0, **others: Any) -> dict[str, Any]:
    time = f"2024-01-{1 + day:02}T00:00{hours:+03}:00"
    return {"unique_id": "a", "ds": time, "y": y, "rain": 2.0, "price": day / 2, "shop": "x"} | others


CELLS = st.none() | st.floats(-9, 9, width=16)
ROWS = st.builds(
    row_at, st.integers(0, 20), CELLS, st.sampled_from([0, 0, 0, 2]), rain=CELLS, price=CELLS,
    shop=st.sampled_from("xxxxxxxxxy"),
)  # fmt: skip


@given(st.lists(ROWS, max_size=12))
@settings(max_examples=60, deadline=None)
def test_rows_in_any_order_missing_and_given_again(rows: list[dict[str, Any]]) -> None:
    check_grows(run_of(COLUMNS), [(row["ds"], row) for row in rows])


@given(st.lists(st.floats(-9, 9, width=16) | st.sampled_from([np.nan, 1e101]), max_size=12))
@settings(max_examples=30, deadline=None)
def test_numbers(values: list[float]) -> None:
    check_grows(run_of(ALONE), list(enumerate(values, 3)))


DATE = "2024-01-03"
ODD: dict[str, list[dict[str, Any]]] = {
    "a table with a column for each series": [{"ds": f"2024-01-0{n}T00:00+00:00", "p": n, "q": 2 * n} for n in (1, 2)],
    "one series without an id": [{"ds": f"2024-01-0{n}T00:00+00:00", "value": n} for n in (1, 2, 4)],
    "a column that another row lacks": [row_at(0), {**row_at(1), "value": 3}, {"date": DATE, "y": 3}, row_at(4)],
    "no step, time or number": [row_at(0), row_at(1, ds=f"{DATE}T01:00+00:00"), row_at(1, ds="soon"), row_at(1, y="x")],
    "another kind of time": [row_at(0), row_at(1, ds="5"), row_at(1, ds="2024-01-02")],
    "one time written twice": [row_at(0), row_at(1), row_at(1, ds="2024-01-02 00:00:00+00:00")],
    "far away": [row_at(0), row_at(1), row_at(1, ds="8000-01-02T00:00+00:00"), row_at(2)],
    "no id": [row_at(0), row_at(1, unique_id=None)],
}  # fmt: skip


@pytest.mark.parametrize("columns", [ALONE, SeriesColumns(), COLUMNS])
@pytest.mark.parametrize("calendar", [DAILY, None])
@pytest.mark.parametrize("name", ODD)
def test_odd_rows(name: str, columns: SeriesColumns, calendar: Calendar | None) -> None:
    check_grows(run_of(columns, calendar), [(row.get("ds"), row) for row in ODD[name]])


def test_each_row_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[Any]()

    def table_of(records: Any, name: str) -> Any:
        read.extend(records)
        return table.table_of(records, name)

    monkeypatch.setattr(growing, "table_of", table_of)
    monkeypatch.setattr(growing, "panel_in_memory", None)  # which reads all rows
    series = GrowingSeries(run_of(COLUMNS), "stdin")
    rows = [row_at(day, rain=1.5) for day in (1, 0, *range(2, 25), 24)]
    for row in rows:
        series.panel(row["ds"], row)
    assert read == [(1, row) for row in rows]
