"""Lists, arrays and data frames as the data of every task: recognised, trained on, evaluated and predicted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import elman
from elman.errors import UserError

SMALL = {"hidden_size": 8, "budget": "2 steps", "progress": False}
WORDS = [["a", "cat", f"x{n}"] for n in range(20)]
TAGS = [["DET", "NOUN", "X"]] * 20
TEXTS = [f"a text of {n} words" for n in range(20)]
SERIES = np.random.default_rng(1).normal(size=(20, 6, 2))
CLASSES = ["b", "a"] * 10
LONG = pd.DataFrame(
    {
        "unique_id": ["007"] * 40 + ["b"] * 40,
        "ds": [*pd.date_range("2024-01-01", periods=40)] * 2,
        "y": np.sin(np.arange(80) / 3),
        "price": np.arange(80) % 7,
    }
)
WIDE = pd.DataFrame({"a": np.arange(40.0), "b": np.ones(40)}, index=pd.date_range("2024-01-01", periods=40, freq="h"))
RAGGED = [series[: 2 + n % 5] for n, series in enumerate(SERIES)]

FORMS: dict[str, tuple[str, Any, Any, dict[str, Any]]] = {
    # the task that is recognised, the data, the targets, the first record
    "tokens": ("tagging", WORDS, TAGS, {"tokens": WORDS[0], "tags": TAGS[0]}),
    "records of tokens": (
        "tagging",
        [{"tokens": words, "tags": tags} for words, tags in zip(WORDS, TAGS, strict=True)],
        None,
        {"tokens": WORDS[0], "tags": TAGS[0]},
    ),
    "frame of tokens": (
        "tagging", pl.DataFrame({"tokens": WORDS, "tags": TAGS}), None, {"tokens": WORDS[0], "tags": TAGS[0]},
    ),
    "texts": ("classification", TEXTS, np.arange(20) % 2, {"text": TEXTS[0], "label": 0}),
    "frame of texts": (
        "classification", pd.DataFrame({"text": TEXTS, "label": CLASSES}), None, {"text": TEXTS[0], "label": "b"},
    ),
    "array": ("classification", SERIES[..., 0], CLASSES, {"values": SERIES[0, :, 0].tolist(), "label": "b"}),
    "channels": ("classification", SERIES, pd.Series(CLASSES), {"values": SERIES[0].tolist(), "label": "b"}),
    "arrays": ("classification", RAGGED, CLASSES, {"values": RAGGED[0].tolist(), "label": "b"}),
    "long": (
        "forecasting", LONG, None, {"unique_id": "007", "ds": "2024-01-01T00:00:00", "y": 0.0, "price": 0},
    ),
    "long in polars": (
        "forecasting", pl.from_pandas(LONG), None,
        {"unique_id": "007", "ds": "2024-01-01T00:00:00", "y": 0.0, "price": 0},
    ),
    "rows of numbers": ("forecasting", SERIES[:, :, 0], None, {"unique_id": "0", "ds": 0, "y": SERIES[0, 0, 0]}),
    "wide": ("forecasting", WIDE, None, {"ds": "2024-01-01T00:00:00", "a": 0.0, "b": 1.0}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_data(form: str, tmp_path: Path) -> None:
    task, data, targets, first = FORMS[form]
    run = elman.fit(data, targets, out=tmp_path / "run", **SMALL)
    assert run.task.name == task
    line = (tmp_path / "run" / "given" / "data.jsonl").read_text().splitlines()[0]
    assert json.loads(line) == first
    assert run.evaluate(data, targets)["data"] is None
    again = elman.fit(data, targets, out=tmp_path / "run", resume=True, **SMALL | {"budget": "3 steps"})
    assert len(again.metrics.step) == 3


def test_a_task_that_is_named_takes_lists_that_are_pairs_otherwise(tmp_path: Path) -> None:
    run = elman.fit(TEXTS, CLASSES, task="classification", valid=(TEXTS, CLASSES), out=tmp_path / "run", **SMALL)
    assert set(run.predict(TEXTS)) <= {"a", "b"}
    assert run.predict(TEXTS[0]) == run.predict(TEXTS)[0]
    assert run.evaluate(TEXTS, CLASSES)["accuracy"] >= 0
    again = elman.fit(TEXTS, CLASSES, out=tmp_path / "run", resume=True, **SMALL | {"budget": "3 steps"})
    assert again.task is run.task  # as the run says
    assert elman.fit(TEXTS, CLASSES, start=run, **SMALL).task is run.task
    assert elman.fit(TEXTS, CLASSES, **SMALL).task.name == "translation"


def test_columns_of_other_names_are_named() -> None:
    frame = pd.DataFrame({"review": TEXTS, "stars": CLASSES})
    run = elman.fit(frame, task="classification", text="review", label="stars", **SMALL)
    assert run.evaluate(frame)["accuracy"] >= 0
    assert elman.fit(frame, text="review", label="stars", **SMALL).task is run.task  # no other has such
    with pytest.raises(UserError, match=r"data in memory: expected data for .*; name the task, and the columns"):
        elman.fit(frame, **SMALL)


def test_a_frame_is_one_input_and_its_forecast_a_frame() -> None:
    run = elman.fit(LONG[["unique_id", "ds", "y"]], horizon=3, **SMALL)
    table = run.predict(pl.from_pandas(LONG[["unique_id", "ds", "y"]]))
    assert isinstance(table, pl.DataFrame)
    assert table.columns[:3] == ["unique_id", "ds", "mean"]
    assert table["unique_id"].to_list() == ["007"] * 3 + ["b"] * 3
    new = LONG[["unique_id", "ds", "y"]].replace("007", "new")[::-1]  # an id that was not trained on, in another order
    assert isinstance(run.predict(new), pd.DataFrame)
    assert sorted(set(run.predict(new)["unique_id"])) == ["b", "new"]
    assert run.predict(new).query("unique_id == 'b'")["mean"].tolist() == table["mean"].to_list()[3:]


@pytest.mark.parametrize("library", [pd, pl])
def test_a_frame_is_given_back_with_a_column_of_answers(library: Any) -> None:
    frame = library.DataFrame({"review": TEXTS, "stars": CLASSES})
    run = elman.fit(frame, task="classification", text="review", label="stars", **SMALL)
    table = run.predict(frame[:3])
    assert type(table) is type(frame)
    assert list(table.columns) == ["review", "stars", "predicted"]
    assert list(table["predicted"]) == run.predict(TEXTS[:3])
    assert run.predict({"review": TEXTS[0]}) == run.predict(TEXTS[0]) == run.predict([{"review": TEXTS[0]}])[0]
    if library is pd:
        rows = [row for _, row in frame.head(3).iterrows()]
        assert run.predict(frame.iloc[1]) == table["predicted"].iloc[1]
        assert run.predict(rows) == run.predict(TEXTS[:3]) == run.predict(frame["review"].head(3))
    with pytest.raises(UserError, match="data: expected data for classification, got list; give their targets behind"):
        run.evaluate(TEXTS)
    with pytest.raises(UserError, match="row 1: expected a column 'review', got 'text'"):
        run.predict(library.DataFrame({"text": TEXTS}))
    with pytest.raises(UserError, match="input 2: expected a text, got 7; give a list of inputs"):
        run.predict([TEXTS[0], 7])
    pairs = library.DataFrame({"source": TEXTS, "target": CLASSES})
    translator = elman.fit(pairs, **SMALL)
    assert list(translator.predict(pairs[:2])["predicted"]) == translator.predict(TEXTS[:2])


def test_labels_of_a_frame_come_back_as_they_were_given() -> None:
    """True is a boolean again, and not the text "true"; 3 is a number."""
    for labels in ([True, False], [3, 4]):
        frame = pd.DataFrame({"text": TEXTS, "label": labels * 10})
        run = elman.fit(frame, **SMALL)
        assert {*run.predict(TEXTS)} <= {*labels}
        assert run.predict(frame)["predicted"].dtype == frame["label"].dtype


def test_arrays_are_many_inputs() -> None:
    run = elman.fit(SERIES, CLASSES, **SMALL)
    found = run.predict(SERIES[:5])
    assert len(found) == 5
    assert found == run.predict(list(SERIES[:5])) == run.predict(SERIES[:5].tolist())


@pytest.mark.parametrize(
    ("data", "targets", "message"),
    [
        (SERIES, CLASSES[:-1], "20, got 19"),
        (WORDS, TAGS[:-1], "20, got 19"),
        (LONG.assign(y=np.inf), None, "column y: expected finite numbers"),
        (np.zeros((3, 4, 2)), None, "data: expected a path, .* got ndarray"),
        ([[1.0, [2.0]]], ["a"], "got"),
        (LONG.iloc[[0, 1, 1]], None, "data in memory, rows 2 and 3: expected one row for"),
        (LONG.assign(ds="soon"), None, "data in memory, row 1, column 'ds': expected a time"),
        (TEXTS, [*CLASSES[:-1], None], "data in memory, row 20: expected a label, got none"),
        (WORDS, [*TAGS[:-1], TAGS[-1][:1]], "data in memory, row 20: "),
        ([], [], "data: expected a path, .* got an empty list and an empty list"),
    ],
)
def test_data_in_memory_that_are_none(data: Any, targets: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        elman.fit(data, targets, **SMALL)
    assert "\n" not in str(error.value)
    assert "/tmp" not in str(error.value)
