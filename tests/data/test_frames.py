"""Data frames and arrays of three libraries as plain values."""

from __future__ import annotations

import datetime
import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from elman.data.frames import as_frame, is_frame, plain, with_rows
from elman.errors import UserError

HOURS = pd.date_range("2024-10-27 01:00", periods=3, freq="h", tz="Europe/Berlin")  # the second hour comes twice


def test_a_pandas_frame() -> None:
    frame = pd.DataFrame(
        {
            "unique_id": ["001", "NA", None],
            "ds": HOURS,
            "naive": [pd.Timestamp("2020-01-01 00:00:00.000000001"), pd.NaT, datetime.datetime(2020, 1, 1, 12)],
            "y": [1.5, np.nan, 2],
            "count": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["a", None, "b"]),
            "tokens": [["a", "b"], [], np.array([1.0, np.nan])],
            "month": pd.period_range("2020-01", periods=3, freq="M"),
        },
        index=[7, 3, 5],
    )
    first, second, third = plain(frame)
    assert first == {
        "unique_id": "001", "ds": "2024-10-27T01:00:00+02:00", "naive": "2020-01-01T00:00:00.000000001", "y": 1.5,
        "count": 1, "kind": "a", "tokens": ["a", "b"], "month": "2020-01",
    }  # fmt: skip
    assert second["ds"] == "2024-10-27T02:00:00+02:00"
    assert [second[name] for name in ("unique_id", "naive", "y", "count", "kind")] == ["NA", None, None, None, None]
    assert (third["ds"], third["tokens"]) == ("2024-10-27T02:00:00+01:00", [1.0, None])
    assert third["unique_id"] is None
    json.dumps([first, second, third], allow_nan=False)
    assert plain(frame["y"]) == [1.5, None, 2.0]


def test_an_index_of_times_or_with_a_name_is_a_column() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=HOURS)
    assert list(plain(frame)[0]) == ["ds", "a"]
    assert list(plain(frame.rename_axis("date"))[0]) == ["date", "a"]
    both = pd.MultiIndex.from_product([["x"], [1, 2, 3]], names=["unique_id", "ds"])
    assert plain(frame.set_index(both))[1] == {"unique_id": "x", "ds": 2, "a": 2}


def test_a_polars_frame_and_a_table_of_arrow() -> None:
    frame = pl.DataFrame(
        {
            "ds": [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), None],
            "day": [datetime.date(2020, 1, 1), None],
            "y": [1.5, float("nan")],
            "tokens": [["a"], ["b", "c"]],
        }
    )
    rows = [
        {"ds": "2020-01-01T00:00:00+00:00", "day": "2020-01-01", "y": 1.5, "tokens": ["a"]},
        {"ds": None, "day": None, "y": None, "tokens": ["b", "c"]},
    ]
    assert plain(frame) == plain(frame.lazy()) == plain(frame.to_arrow()) == rows
    assert plain(frame["y"]) == [1.5, None]
    assert plain(pa.chunked_array([[1], [None]])) == [1, None]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.array([[[1, np.nan]]], np.float32), [[[1.0, None]]]),
        (torch.ones(1, 2, requires_grad=True), [[1.0, 1.0]]),
        ([np.zeros((1, 2)), np.zeros((2, 2))], [[[0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]),
        (np.array([np.zeros(1), np.zeros(2)], dtype=object), [[0.0], [0.0, 0.0]]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(["2020-01-01", "NaT"], "M8[D]"), ["2020-01-01", None]),
        ([np.int64(3), np.float64("nan"), np.True_, "x", None], [3, None, True, "x", None]),
        ([("a", "b")], [("a", "b")]),
        ("text", "text"),
        (np.array(2.5), 2.5),
    ],
)
def test_arrays_and_lists(data: Any, expected: Any) -> None:
    found = plain(data)
    assert found == expected
    assert json.dumps(found) == json.dumps(expected)  # True is not 1, and 1 is not 1.0
    assert not is_frame(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pd.DataFrame({"y": [1, np.inf]}), "column y: expected finite numbers, or missing ones, got an infinite one"),
        (pd.DataFrame({"y": pd.to_timedelta([1], unit="D")}), "column y: expected texts, numbers or times, got a Time"),
        (pl.DataFrame({"y": [datetime.time(1)]}), "column y: expected texts, numbers or times, got a time"),
        (np.array([1j]), "data: expected texts, numbers or times, got an array of complex128"),
        ([[-np.inf]], "data: expected finite numbers"),
    ],
)
def test_values_that_are_none(data: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        plain(data)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_frames_come_back_as_they_came(make: Any) -> None:
    frame = make({"a": [1, 2]})
    assert is_frame(frame)
    back = as_frame([{"b": "x", "c": 1.5}, {"b": None, "c": 2.5}], frame)
    assert type(back) is type(frame)
    assert plain(back) == [{"b": "x", "c": 1.5}, {"b": None, "c": 2.5}]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_times_come_back_as_times(make: Any) -> None:
    """Of the kind that the frame has, on both sides of a change to summer time."""
    texts = ["2024-10-27T02:00:00+02:00", "2024-10-27T02:00:00+01:00"]
    local = as_frame([{"ds": text, "y": 1.0} for text in texts], make({"at": HOURS.to_series()}))
    assert plain(local) == [{"ds": text, "y": 1.0} for text in texts]
    assert "Europe/Berlin" in str(local["ds"].dtype)
    naive = as_frame([{"ds": "2024-01-01T00:00:00", "id": "2024"}], make({"at": [datetime.datetime(2020, 1, 1)]}))
    assert "datetime" in str(naive["ds"].dtype).lower()
    assert plain(naive) == [{"ds": "2024-01-01T00:00:00", "id": "2024"}]
    assert plain(as_frame([{"ds": "2024-01-01"}], make({"at": [1]}))) == [{"ds": "2024-01-01"}]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-01-31 09:00:00", "2024-01-31T09:00:00"),  # as pandas writes CSV
        ("2024-01-31T09:00Z", "2024-01-31T09:00:00"),
        ("2024/1/31", "2024-01-31T00:00:00"),
        ("2024-03", "2024-03-01T00:00:00"),
        ("2024Q2", "2024-04-01T00:00:00"),
    ],
)
def test_times_come_back_as_times_however_a_run_writes_them(make: Any, text: str, time: str) -> None:
    """A column that was one of texts stays one, such as ids that look like times."""
    like = make({"at": [datetime.datetime(2020, 1, 1)], "id": ["2024-02"]})
    assert plain(as_frame([{"ds": text, "id": "2024-02"}], like)) == [{"ds": time, "id": "2024-02"}]


def test_dates_and_an_index_of_times() -> None:
    days = as_frame([{"ds": "2024-01-02T00:00:00"}], pl.DataFrame({"day": [datetime.date(2020, 1, 1)]}))
    assert days["ds"].dtype == pl.Date
    hours = as_frame([{"ds": "2024-01-02T00:00:00+01:00"}], pd.DataFrame({"a": [1, 2, 3]}, index=HOURS))
    assert str(hours["ds"].dtype).endswith("Europe/Berlin]")


def test_a_row_of_a_frame_is_no_column() -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "n": [1, 2]}, index=["x", "y"])
    assert with_rows(frame.iloc[0], ["text"]) == {"text": "a", "n": 1}
    assert with_rows([row for _, row in frame.iterrows()], ["values", "text"])[1] == {"text": "b", "n": 2}
    for column in (frame["text"], frame["n"], pd.Series(["a"]), pl.Series(["text"]), ["text"], "text", np.zeros(2)):
        assert with_rows(column, ["text"]) is column or with_rows(column, ["text"]) == ["text"]
    assert plain(with_rows(frame["text"], ["text"])) == ["a", "b"]


def test_without_narwhals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(UserError, match=r"data frames need the package 'narwhals'.*pip install 'elman\[tables\]'"):
        plain(pd.DataFrame({"a": [1]}))
    assert plain([np.zeros(1)]) == [[0.0]]
