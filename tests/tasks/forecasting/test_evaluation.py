"""Scores of forecasters, beside simple forecasts of the same windows; and forecasts as tables."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman.cli import run as command
from elman.data.linefile import InputLine
from elman.errors import UserError
from elman.runs import Run
from elman.tasks.exchange import Answer, Inputs

WINDOW, HORIZON = 8, 4
KEYS = ("mae", "mse", "mse_standardised", "mase", "smape", "quantile_loss", "coverage_80")
HEADER = "unique_id,ds,mean,q10,q50,q90"


def rows(begin: int = 0, end: int = 80) -> list[tuple[str, str, str]]:
    """Two waves, one with missing values, and a constant."""
    steps = range(begin, end)
    found = [("a", step, round(10 + 3 * np.sin(step / 2), 4)) for step in steps]
    found += [("b", step, "" if step % 9 == 4 else round(step + np.cos(step), 4)) for step in steps]
    found += [("c", step, 0.1) for step in steps]
    return [(name, str(1000 + step), str(value)) for name, step, value in found]


def write(path: Path, given: list[tuple[str, str, str]]) -> Path:
    path.write_text("unique_id,ds,y\n" + "".join(",".join(row) + "\n" for row in given))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecaster")
    elman.fit(
        write(folder / "train.csv", rows()), task="forecasting", model="gru", budget="3 steps", out=folder / "run",
        horizon=HORIZON, window=WINDOW, season=3, hidden_size=4, progress=False,
    )  # fmt: skip
    return folder


@pytest.fixture
def run(folder: Path) -> Run:
    return elman.load(folder / "run")


def test_every_window_is_scored_beside_simple_forecasts(run: Run, tmp_path: Path) -> None:
    test = write(tmp_path / "test.csv", rows(80, 120))
    report = run.evaluate(test)
    windows = 40 - WINDOW - HORIZON + 1
    assert (report["windows"], report["series"]) == (3 * windows, 3)
    holes = sum(step % 9 == 4 for step in range(80, 120))
    assert report["missing"] == holes
    values = [(row[0], row[2]) for row in rows(80, 120)]
    scored = sum(
        values[40 * n + origin + h][1] != ""
        for n in range(3)
        for origin in range(WINDOW, 40 - HORIZON + 1)
        for h in range(4)
    )
    assert report["values"] == scored < report["windows"] * HORIZON
    assert report["series_without_scale"] == 1, "the constant has no MASE"
    for scores in (report, report["naive"], report["seasonal_naive"], report["linear"]):
        assert scores.keys() >= set(KEYS)
        assert all(np.isfinite(scores[name]) for name in KEYS)
    # By hand: the naive forecast of all windows.
    errors = []
    for n in range(3):
        y = [float(value) if value else np.nan for _, value in values[40 * n : 40 * n + 40]]
        for origin in range(WINDOW, 40 - HORIZON + 1):
            last = [value for value in y[origin - WINDOW : origin] if value == value][-1]
            errors += [abs(value - last) for value in y[origin : origin + HORIZON] if value == value]
    assert report["naive"]["mae"] == pytest.approx(np.mean(errors), rel=1e-5)


def test_the_naive_forecast_of_a_series_that_was_constant_in_training_is_its_last_value(
    run: Run, tmp_path: Path
) -> None:
    given = [(name, time, y) for name, time, y in rows(80, 120) if name == "c"]
    y = np.array([float(value) for *_, value in given])
    y[WINDOW + 5 :] = np.arange(len(y) - WINDOW - 5) ** 2
    test = [(name, time, str(value)) for (name, time, _), value in zip(given, y, strict=True)]
    report = run.evaluate(write(tmp_path / "f.csv", test))
    assert report["series_without_scale"] == 1
    naive, seasonal = [], []
    for origin in range(WINDOW, len(y) - HORIZON + 1):
        truth = y[origin : origin + HORIZON]
        naive.append(np.abs(truth - y[origin - 1]))
        seasonal.append(np.abs(truth - y[origin - 3 + np.arange(HORIZON) % 3]))
    assert report["naive"]["mae"] == pytest.approx(np.mean(naive), rel=1e-6)
    assert report["seasonal_naive"]["mae"] == pytest.approx(np.mean(seasonal), rel=1e-6)


def test_windows_and_steps(run: Run, tmp_path: Path) -> None:
    test = write(tmp_path / "test.csv", rows(80, 120))
    assert run.evaluate(test, windows=2, step=5)["windows"] == 6
    assert run.evaluate(test, step=7)["windows"] == 3 * 5
    # The last window alone is the window of a file that holds no more.
    last = write(tmp_path / "last.csv", rows(120 - WINDOW - HORIZON, 120))
    one, other = run.evaluate(test, windows=1), run.evaluate(last)
    assert one["mae"] == pytest.approx(other["mae"])
    assert one["linear"]["mse"] == pytest.approx(other["linear"]["mse"])


def test_evaluation_does_not_depend_on_the_order_of_rows(run: Run, tmp_path: Path) -> None:
    given = rows(80, 120)
    plain = run.evaluate(write(tmp_path / "f.csv", given))
    random.Random(0).shuffle(given)
    shuffled = run.evaluate(write(tmp_path / "f.csv", given))
    plain.pop("seconds"), shuffled.pop("seconds")
    assert plain == shuffled


def test_a_gap_that_is_longer_than_a_window_leaves_all_scores_finite(run: Run, tmp_path: Path) -> None:
    given = [(name, time, "" if 1090 <= int(time) < 1090 + 3 * WINDOW else y) for name, time, y in rows(80, 141)]
    report = run.evaluate(write(tmp_path / "f.csv", given))
    assert report["windows"] == 3 * (61 - WINDOW - HORIZON + 1), "those whose past or future is missing too"
    for scores in (report, report["naive"], report["seasonal_naive"], report["linear"]):
        assert all(np.isfinite(scores[name]) for name in KEYS)


def test_the_command_prints_a_table(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = write(tmp_path / "test.csv", [*rows(80, 120), ("short", "5", "1"), ("short", "6", "2")])
    assert command(["evaluate", str(folder / "run"), str(test)]) == 0
    out, err = capsys.readouterr()
    for heading in ("model", "naive", "seasonal naive", "linear", "MASE", "coverage of 80 %", "no scale"):
        assert heading in out
    assert "1 series (short) of" in err
    assert "shorter than window and horizon, 12 steps" in err
    assert command(["evaluate", str(folder / "run"), str(test), "--windows", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["windows"] == 4
    assert command(["evaluate", str(folder / "run"), str(test), str(test)]) == 2
    assert "expected one table of series, got 2" in capsys.readouterr().err


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_fresh_process_writes_the_steps_after_the_end(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of ids that the training did not have, whatever else is in the file; the constant stays the constant."""
    given = rows(60, 90)
    given += [("new, and long", str(step), str(step % 3)) for step in range(30)] + [("one", "7", "2.5")]
    path = write(tmp_path / "f.csv", [(f'"{name}"', *rest) for name, *rest in given])  # type: ignore[misc]
    assert command(["predict", str(folder / "run"), str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(HEADER + "\n")
    found = table(out)
    assert [row["unique_id"] for row in found] == [n for n in ("a", "b", "c", "new, and long", "one") for _ in range(4)]
    assert [row["ds"] for row in found[:4]] == ["1090", "1091", "1092", "1093"]
    assert [row["ds"] for row in found[-4:]] == ["8", "9", "10", "11"]
    for row in found:
        assert float(row["q10"]) <= float(row["q50"]) <= float(row["q90"])
    assert {row[name] for row in found[8:12] for name in ("mean", "q10", "q50", "q90")} == {"0.1"}
    assert {row["mean"] for row in found[-4:]} == {"2.5"}, "a series of one value is constant"
    alone = write(tmp_path / "alone.csv", given[:30])
    assert command(["predict", str(folder / "run"), str(alone)]) == 0
    for row, other in zip(table(capsys.readouterr().out), found, strict=False):
        assert [float(row[name]) for name in ("mean", "q10")] == pytest.approx(
            [float(other[name]) for name in ("mean", "q10")]
        )


def test_shuffled_rows_have_the_same_forecasts_bit_by_bit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, outs = rows(60, 90), []
    for seed in (0, 1):
        random.Random(seed).shuffle(given)
        assert command(["predict", str(folder / "run"), str(write(tmp_path / "f.csv", given))]) == 0
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1]


def test_lines_that_arrive_are_a_table_too(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", rows(60, 90))
    frames = [json.dumps({"unique_id": a, "ds": t, "y": float(y) if y else None}) for a, t, y in rows(60, 90)]
    expected = [answer.lines for answer in predictions(run, Inputs("f.csv", path=path))]
    for lines in (path.read_text().splitlines(), frames):
        arriving = [[InputLine(line) for line in lines[:7]], [InputLine(line) for line in lines[7:]]]
        assert [answer.lines for answer in predictions(run, Inputs("stdin", arriving))] == expected
    with pytest.raises(UserError, match="stdin, line 2: expected UTF-8"):
        predictions(run, Inputs("stdin", [[InputLine("ds,y"), InputLine("", "expected UTF-8 text")]]))


def predictions(run: Run, inputs: Inputs) -> list[Answer]:
    return list(run.task.predict(run, inputs, run.task.options_of("predict", {}, "run"), print))


def test_a_streamed_value_is_answered_as_the_series_up_to_it(run: Run) -> None:
    values = [1.0, 2.5, None, 4.0, 2.0, 3.5, 1.0, 2.0, 0.5, 4.0, None, 3.0]
    lines = [InputLine("" if value is None else f"{value}") for value in values]
    given = Inputs("stdin", [lines[:5], [InputLine("water")], lines[5:]])
    told: list[str] = []
    streamed = list(run.task.predict(run, given, run.task.options_of("predict", {"stream": True}, "run"), told.append))
    assert "'water'" in streamed.pop(5).error
    for count, answer in enumerate(streamed, 1):
        [whole] = predictions(run, Inputs("inputs", memory=[values[:count]]))
        assert [row | {"unique_id": ""} for row in answer.result] == [row | {"unique_id": ""} for row in whole.result]
    assert [len(answer.lines) for answer in streamed[:3]] == [1 + HORIZON, HORIZON, HORIZON]
    assert len(told) == len(set(told))


def test_json_and_python(folder: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "f.csv", rows(60, 90))
    assert command(["predict", str(folder / "run"), str(path), "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["unique_id"] for record in records] == ["a", "b", "c"]
    assert records[1]["ds"] == [1090, 1091, 1092, 1093]
    assert len(records[1]["q90"]) == HORIZON
    frame = [{"unique_id": a, "ds": int(t), "y": float(y) if y else None} for a, t, y in rows(60, 90)]
    [result] = run.predict([frame])
    assert [row["mean"] for row in result[:4]] == pytest.approx(records[0]["mean"])
    with pytest.warns(
        UserWarning, match=r"1 series \(input 1\) of input 1 shorter than the window, 8 steps: used as far"
    ):
        series = run.predict([[1.0, 2.0, 4.0, 2.0], [3.0] * 20])
    assert [len(each) for each in series] == [4, 4]
    assert [row["ds"] for row in series[0]] == [4, 5, 6, 7]
    assert {row["mean"] for row in series[1]} == {3.0}
    with pytest.raises(UserError, match="input 2: expected a table of series, or the numbers of one, got 'x'"):
        run.predict([[1.0] * 8, "x"])


def test_a_model_that_knows_prices_ahead_is_told_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def lines(until: int, values: int) -> str:
        return "ds,y,price\n" + "".join(f"{t},{t % 5 if t < values else ''},{t % 7}\n" for t in range(until))

    (tmp_path / "train.csv").write_text(lines(60, 60))
    elman.fit(
        tmp_path / "train.csv", task="forecasting", budget="2 steps", out=tmp_path / "run", hidden_size=4,
        horizon=3, future=["price"], window=6, progress=False,
    )  # fmt: skip
    (tmp_path / "ahead.csv").write_text(lines(63, 60))
    assert command(["predict", str(tmp_path / "run"), str(tmp_path / "ahead.csv")]) == 0
    assert [row["ds"] for row in table(capsys.readouterr().out)] == ["60", "61", "62"]
    (tmp_path / "short.csv").write_text(lines(62, 60))
    assert command(["predict", str(tmp_path / "run"), str(tmp_path / "short.csv")]) == 1
    assert "'y': expected price for the 3 steps after its last value, got 2; append rows" in capsys.readouterr().err
    check_streamed_rows(elman.load(tmp_path / "run"), lines)


def check_streamed_rows(run: Run, lines: Callable[[int, int], str]) -> None:
    """Prices ahead come before their values, as CSV below a header and as JSON; a number alone is refused."""

    def answers(texts: list[str]) -> list[Answer]:
        options = run.task.options_of("predict", {"stream": True}, "run")
        return list(run.task.predict(run, Inputs("stdin", [[InputLine(text) for text in texts]]), options, told.append))

    told: list[str] = []
    header, *rows = lines(13, 10).splitlines()
    rows += ["10,0,3", "13,,6"]  # a value whose price was known, and one price more
    streamed = answers([header, *rows])
    assert [bool(answer.result) for answer in streamed] == [False] * 12 + [True, False, True]
    assert not any(answer.error for answer in streamed)
    assert told == ["stdin: a forecast needs price of the steps to come, too"]
    wrong = answers([header, *rows[:3], "soon,1,2", *rows[3:]])[3].error
    assert wrong.startswith("column 'ds': expected a time"), "whose line the command names, and no row beside it"
    for answer, until, values in ((streamed[12], 13, 10), (streamed[14], 14, 11)):
        whole = [
            dict(zip(header.split(","), row.split(","), strict=True)) for row in lines(until, values).splitlines()[1:]
        ]
        [expected] = predictions(run, Inputs("stdin", memory=[whole]))
        assert answer.result == expected.result
    objects = [json.dumps(dict(zip(header.split(","), row.split(","), strict=True))) for row in rows]
    assert [answer.result for answer in answers(objects)] == [answer.result for answer in streamed]
    wrong = [answer.error for answer in answers(["3.5", header, "0,1", "0,1,2", "{}", "1,x,2", "{"])]
    assert wrong[0] == "expected a row of a time and y, price, as an object of JSON or as CSV below a header, got '3.5'"
    assert wrong[1] == "expected 3 cells as the header has, got 2"
    assert not wrong[2]
    assert all("\n" not in each and each for each in wrong[3:])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("unique_id,ds,y\na,1,1\na,1,2\n", "lines 2 and 3: expected one row for 'a' at 1, got two"),
        (
            "unique_id,ds,y\na,2024-01-01,1\n",
            "column 'ds': expected whole numbers, as in training, got times without offsets",
        ),
        ("unique_id,ds,y\na,1,1\na,2\n", "line 3: expected 3 columns"),
        ("unique_id,ds\na,1\n", "expected a column of values to forecast"),
        ("unique_id,ds,y\n", "holds no rows"),
        ("", "holds no rows"),
    ],
)
def test_bad_tables_are_answered_in_one_line(
    folder: Path, tmp_path: Path, content: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f.csv").write_text(content)
    assert command(["predict", str(folder / "run"), str(tmp_path / "f.csv")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        (
            "baselines",
            "weights",
            [[0.0] * HORIZON] * WINDOW,
            r"another model's: expected weights of the shape \(9, 4\)",
        ),
        ("baselines", "spread", {"naive": [[0.0] * 3] * HORIZON}, "expected seasonal_naive of the shape"),
        ("baselines", "season", 0, "baselines.json is damaged"),
        ("calendar", "step", 0, "calendar.json is damaged"),
        ("calendar", "kind", "naive", "calendar.json is damaged"),
        ("calendar", "style", "?", "calendar.json: style: expected a time"),
        ("scaler", "scales", {"a": [0.0, -1.0, 1.0]}, "scaler.json is damaged"),
        ("columns", "past", ["price"], r"another model's: expected further columns of \(0, 0, 0\) channels"),
    ],
)
def test_a_damaged_codec_is_refused(folder: Path, tmp_path: Path, name: str, key: str, value: Any, words: str) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    path = tmp_path / f"run/model/{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UserError, match=words):
        elman.load(tmp_path / "run")
