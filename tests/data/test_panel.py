"""Panels of series, from long and wide tables."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import structures
from elman.data.panel import Panel, read_panel
from elman.data.series_columns import SeriesColumns
from elman.data.series_sources import series_table
from elman.data.table import read_table, table_in_lines, table_of
from elman.errors import UserError

LONG = """unique_id,ds,y
b,2024-01-03,3.5
a,2024-01-02,
a,2024-01-01,1
b,2024-01-01,2
a,2024-01-04,4
"""


def panel_of(text: str, columns: SeriesColumns = SeriesColumns(), name: str = "f.csv") -> Panel:  # noqa: B008
    return read_panel(table_in_lines(text.splitlines(), name), columns)


def same(panel: Panel, other: Panel) -> bool:
    arrays = ("starts", "offsets", "bounds", "lengths", "values", "past", "future")
    equal = all(getattr(panel, name).tobytes() == getattr(other, name).tobytes() for name in arrays)
    return equal and panel.fingerprint == other.fingerprint and panel.calendar == other.calendar


def test_a_long_table() -> None:
    panel = panel_of(LONG)
    assert panel.ids == ("a", "b")
    np.testing.assert_array_equal(panel.series(0), [1, np.nan, np.nan, 4])
    np.testing.assert_array_equal(panel.series(1), [2, np.nan, 3.5])
    assert panel.missing == 3, "one that is empty, two that have no row"
    assert panel.times(0, 4, 2) == ["2024-01-05", "2024-01-06"]
    assert panel.times(1, 0, 1) == ["2024-01-01"]


def test_a_wide_table_has_the_same_series(tmp_path: Path) -> None:
    wide = "date,b,a\n2024-01-04,,4\n2024-01-01,2,1\n2024-01-02,,\n2024-01-03,3.5,\n"
    assert panel_of(wide).ids == ("a", "b")
    for index in (0, 1):
        np.testing.assert_array_equal(panel_of(wide).series(index), panel_of(LONG).series(index))
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(tmp_path / "w.csv" if (tmp_path / "w.csv").write_text(wide) else "").set_index("date")
    frame.rename_axis(None).to_csv(tmp_path / "index.csv")  # times in a column without a name
    assert panel_of((tmp_path / "index.csv").read_text()).fingerprint == panel_of(wide).fingerprint
    frame.reset_index().to_csv(tmp_path / "numbered.csv")  # numbers of rows in a column without a name
    assert panel_of((tmp_path / "numbered.csv").read_text()).fingerprint == panel_of(wide).fingerprint


ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 12), st.floats(-9, 9) | st.none()),
    min_size=3,
    unique_by=lambda row: row[:2],
).filter(lambda rows: any(row[2] is not None for row in rows))


@settings(max_examples=60)
@given(ROWS, st.randoms())
def test_the_order_of_rows_changes_no_bit(rows: list[tuple[str, int, float | None]], order: random.Random) -> None:
    def build(given: list[tuple[str, int, float | None]]) -> Panel:
        records = [{"unique_id": a, "ds": t, "y": y, "price": 2 * t, "size": ord(a)} for a, t, y in given]
        columns = SeriesColumns(past=(), future=("price",), static=("size",))
        return read_panel(table_of(enumerate(records, 1), "rows"), columns)

    rows = [*rows, *(("z", step, float(step)) for step in range(60))]  # so that there is no doubt about the step
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert same(build(rows), build(shuffled))
    panel = build(rows)
    for n, name in enumerate(panel.ids):
        there = {t: y for a, t, y in rows if a == name and y is not None}
        assert panel.lengths[n] == max(there) - min(there) + 1
        found = {int(panel.starts[n]) + k: y for k, y in enumerate(panel.series(n)) if not np.isnan(y)}
        assert found == there
        assert panel.static["size"][n] == ord(name)
    assert set(panel.ids) | set(panel.empty) == {row[0] for row in rows}


def test_a_duplicate_names_both_lines() -> None:
    text = LONG + "a,2024-01-01,7\n"
    with pytest.raises(UserError) as error:
        panel_of(text)
    assert "f.csv, lines 4 and 7: expected one row for 'a' at 2024-01-01, got two; keep one of them" in str(error.value)


def test_times_that_tell_a_table_of_series_are_read_whatever_their_name(tmp_path: Path) -> None:
    path = tmp_path / "sold.csv"
    path.write_text("month,sold\n" + "".join(f"2024-{month:02},{month}\n" for month in range(1, 13)))
    assert structures.series_table([path]) == f"{path} has times in month, and numbers in sold"
    assert read_panel(read_table(path)).calendar.step_name == "1 month"
    path.write_text("Datum;Umsatz\n" + "".join(f"{day}.01.2024;{day}\n" for day in range(1, 13)))
    assert structures.series_table([path]) == f"{path} has times in Datum, and numbers in Umsatz"
    with pytest.raises(UserError, match=r"line 2, .* got '1.01.2024', whose day and month look alike; write the year"):
        read_panel(read_table(path))


def test_an_hour_that_is_there_twice_asks_for_offsets() -> None:
    """Clocks were put back: naive times cannot tell the first 02:00 from the second."""
    naive = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00"]
    offsets = ["2024-10-27 01:00+02:00", "2024-10-27 02:00+02:00", "2024-10-27 02:00+01:00", "2024-10-27 03:00+01:00"]
    with pytest.raises(UserError) as error:
        panel_of("ds,y\n" + "".join(f"{time},1\n" for time in naive))
    assert "lines 3 and 4" in str(error.value)
    assert "where the clocks were put back, write the offset from UTC" in str(error.value)
    panel = panel_of("ds,y\n" + "".join(f"{time},{n}\n" for n, time in enumerate(offsets)))
    assert panel.series(0).tolist() == [0, 1, 2, 3]
    assert panel.times(0, 4, 1) == ["2024-10-27 04:00+01:00"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", ["f.csv", "expected a column of times, got 'a', 'b'", "time_column=NAME"]),
        ("ds\n1\n", ["expected columns of numbers beside 'ds'"]),
        ("unique_id,ds,p,q\na,1,2,3\n", ["expected a column of values to forecast", "target_column=NAME"]),
        ('{"unique_id": {"a": 1}, "ds": 1, "y": 2}\n', ["line 1, column 'unique_id'", "got {'a': 1}"]),
        ("unique_id,ds,y\n,1,2\n", ["line 2, column 'unique_id': expected the id of a series, got none"]),
        ("unique_id,ds,y\na,1,2\na,2,much\n", ["line 3, column 'y': expected a number, got 'much'"]),
        ('ds,y\n1,2\n2,"1,5"\n', ["line 3", "write a decimal point"]),
        ("ds,y\n1,2\n2,inf\n", ["line 3", "expected a number, got 'inf'"]),
        ("ds,y\n1,2\n2,1e200\n", ["line 3, column 'y': expected a number of at most 1e+100, got '1e200'"]),
        ("ds,y\n1,\n2,\n", ["f.csv holds no values; fill the column 'y'"]),
        ("ds,y\n0,1\n2,1\n4,1\n7,1\n", ["line 5, column 'ds': expected a multiple of 2 steps", "got '7'"]),
        ("ds,y\n0,1\n1,1\n9999999,1\n", ["lacks nearly all of 10,000,000 steps of 1 step"]),
        ("date,a\n2024-01-01,1\n2024-02-01,1\n", None),
        (
            "unique_id,ds,y,shop\na,1,2,x\na,2,3,y\n",
            ["line 3, column 'shop': expected 'x' as in line 2, for 'a', got 'y'"],
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_a_line(text: str, words: list[str] | None) -> None:
    if words is None:
        assert len(panel_of(text)) == 1
        return
    with pytest.raises(UserError) as error:
        panel_of(text)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def test_a_calendar_of_a_training_holds_for_other_files() -> None:
    monthly = panel_of("date,a\n2024-01-01,1\n2024-02-01,1\n")
    one = table_in_lines(["date,a", "2024-07-01,5"], "new.csv")
    assert read_panel(one, SeriesColumns(), monthly.calendar).times(0, 1, 1) == ["2024-08-01"]
    for text, word in (("2024-07-02", "expected day 1 of a month, at 00:00"), ("7", "expected times without offsets")):
        with pytest.raises(UserError, match=word):
            read_panel(table_in_lines(["date,a", f"{text},5"], "new.csv"), SeriesColumns(), monthly.calendar)


def test_ids_are_texts_and_keep_their_zeros() -> None:
    assert panel_of("unique_id,ds,y\n001,1,1\n001,2,1\n1,1,1\n1,2,1\n").ids == ("001", "1")


def test_roles_of_further_columns() -> None:
    text = "store,day,sold,price,visitors,city\n" + "".join(
        f"{s},2024-01-{d:02},{d if d < 5 else ''},{d / 2},{d if d < 5 else ''},{s.upper()}\n"
        for s in "ab"
        for d in range(1, 8)
    )
    columns = SeriesColumns("store", "day", "sold", future=("price",))
    panel = panel_of(text, columns)
    assert (panel.roles.past, panel.roles.future, panel.roles.static) == (("visitors",), ("price",), ("city",))
    assert panel.lengths.tolist() == [4, 4]
    assert np.diff(panel.bounds).tolist() == [7, 7], "what is known ahead goes on"
    assert panel.future[:7, 0].tolist() == [0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    np.testing.assert_array_equal(panel.past[:7, 0], [1, 2, 3, 4, np.nan, np.nan, np.nan])
    assert panel.static == {"city": ["A", "B"]}
    ahead = text.replace(",,A\n", ",,\n").replace(",,B\n", ",,\n")  # rows of the steps to come need not say it again
    assert panel_of(ahead, columns).fingerprint == panel.fingerprint
    with pytest.raises(UserError, match=r"expected a column 'prize'.*did you mean 'price'"):
        panel_of(text, SeriesColumns("store", "day", "sold", future=("prize",)))


def test_a_series_without_a_value_is_left_out_and_named() -> None:
    panel = panel_of("date,a,b\n1,,1\n2,,\n3,,2\n4,,\n")
    assert (panel.ids, panel.empty, panel.lengths.tolist()) == (("b",), ("a",), [3])


def test_json_lines_and_parquet_are_the_same_series(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"unique_id": "a", "ds": f"2024-01-{day:02}", "y": day if day % 3 else None} for day in range(1, 10)
    ]
    (tmp_path / "f.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    panel = read_panel(read_table(tmp_path / "f.jsonl"))
    assert panel.missing == 2, "the last value ends the series"
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(records)
    frame["ds"] = pandas.to_datetime(frame["ds"])
    frame.to_parquet(tmp_path / "f.parquet")
    other = read_panel(read_table(tmp_path / "f.parquet"))
    np.testing.assert_array_equal(panel.values, other.values)


@pytest.mark.parametrize(("name", "length", "season"), [("sunspots", 309, 1), ("co2", 2284, 52)])
def test_named_series(name: str, length: int, season: int) -> None:
    pytest.importorskip("statsmodels")
    panel = read_panel(series_table(name))
    assert panel.lengths.tolist() == [length]
    assert panel.calendar.season(length) == season
    assert panel.missing == (59 if name == "co2" else 0)


def test_a_slip_in_a_name_is_seen() -> None:
    with pytest.raises(UserError, match="no such file or named source of series: sunspot; did you mean 'sunspots'"):
        series_table("sunspot")
