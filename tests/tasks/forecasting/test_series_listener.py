"""Forecasters that many sessions speak to: a forecast is that of all values of its session, whoever else is heard."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from elman.data.windows import last_windows
from elman.errors import UserError
from elman.lens.places import memory_of
from elman.runs import Run
from elman.serve import Sessions
from elman.tasks.forecasting.prediction import TRACKED
from elman.tasks.forecasting.told import Told
from elman.tasks.hearing import WholeMemory
from elman.tasks.listening import Memory, Work
from foreign_models import FOREIGN
from memories import memory_over, same_memory
from sessions import Session, alone, close, imported, speak

SMALL = {"horizon": 3, "window": 6, "season": 2, "hidden_size": 4, "task": "forecasting", "budget": "3 steps"}
STEPS = np.arange(60)
WAVES = [[round(float(value), 3) for value in 10 + 3 * np.sin(STEPS / (2 + n))] for n in range(3)]
DAYS = [str(np.datetime64("2024-01-01") + int(step)) for step in STEPS]
KINDS: dict[str, dict[str, Any]] = {
    "direct": {"model": "gru"},
    "both directions": {"model": "lstm", "bidirectional": True},
    "segments": {"model": "gru", "form": "segment", "segment": 2},
    "likelihood": {"model": "lstm", "form": "likelihood", "samples": 20},
    "transformer": {"model": "transformer", "num_heads": 2},
}


def table(n: int, steps: int, begin: int = 0, ahead: int = 0) -> list[dict[str, Any]]:
    """A series with a column of the past, one that is known ahead and one that does not change."""
    rows = []
    for step in range(begin, begin + steps + ahead):
        y = WAVES[n][step] if step < begin + steps else None
        rows.append(
            {"unique_id": "abc"[n], "ds": DAYS[step], "y": y, "rain": float(step % 3), "price": float(step % 4)}
        )
    return [row | {"shop": "xyz"[n]} for row in rows]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    place, made = tmp_path_factory.mktemp("forecasters"), {}
    for at, (name, options) in enumerate(KINDS.items()):
        made[name] = elman.fit(WAVES, out=place / str(at), **SMALL, **options)
    rows = [row for n in range(3) for row in table(n, 60)]
    columns = {"past": "rain", "future": "price", "static": "shop"}
    made["columns"] = elman.fit(rows, out=place / "columns", model="gru", **SMALL, **columns)
    torch.manual_seed(3)
    made["imported"] = imported("forecasting", FOREIGN["forecasting"].make().eval(), place / "imported")
    return made


def expected(run: Run, read: Any) -> list[dict[str, Any]]:
    """What `elman predict` says of a series, which is a list of numbers or a table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shorter than the window
        return [{name: cell for name, cell in row.items() if name != "unique_id"} for row in run.predict([read])[0]]


VALUES = st.lists(st.none() | st.floats(-20, 20, width=16), max_size=8)


@pytest.mark.parametrize("kind", [*KINDS, "imported"])
@given(st.lists(st.tuples(st.lists(VALUES, min_size=1, max_size=3), st.integers(0, 3)), min_size=1, max_size=3))
@settings(max_examples=12, deadline=None)
def test_every_forecast_is_that_of_all_values(runs: dict[str, Run], kind: str, given_pieces: Any) -> None:
    run = runs[kind]
    listener = run.task.listener(run)
    sessions = [Session([("feed", {"values": piece}) for piece in pieces], begins) for pieces, begins in given_pieces]
    speak(listener, sessions)
    for session, (pieces, _) in zip(sessions, given_pieces, strict=True):
        values: list[float | None] = []
        for piece, answer in zip(pieces, session.told, strict=True):
            values += piece
            assert answer["position"] == len(values)
            if all(value is None for value in values):
                assert answer["forecast"] is None
                assert "a number in 'y'" in answer["expected"]
            else:
                close(answer["forecast"], expected(run, values), 1e-4)
        assert session.units == values


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 28), st.integers(1, 28), st.booleans()), min_size=1, max_size=3
    )
)
@settings(max_examples=10, deadline=None)
def test_series_on_a_calendar_with_further_columns(
    runs: dict[str, Run], drawn: list[tuple[int, int, int, bool]]
) -> None:
    """A series of the training by its id, or another; rows without a target tell what is known ahead."""
    run = runs["columns"]
    listener = run.task.listener(run)
    assert listener.columns == ["y", "rain", "price"]
    sessions = []
    for n, first, then, known in drawn:
        rows = [[row[name] for name in listener.columns] for row in table(n, first + then, ahead=3)]
        about = {"ds": DAYS[0], "static": {"shop": "xyz"[n]}} | ({"id": "abc"[n]} if known else {})
        asked = [
            {"values": rows[:first], **about},
            {"values": rows[first : first + then]},
            {"values": rows[first + then :]},
        ]
        sessions.append(Session([("feed", each) for each in asked]))
    speak(listener, sessions)
    for session, (n, first, then, known) in zip(sessions, drawn, strict=True):
        for answer in session.told[:2]:
            assert answer["forecast"] is None
            assert "expected price for the 3 steps after its last value, got 0; append rows" in answer["expected"]
        wanted = [row | {"unique_id": row["unique_id"] if known else "new"} for row in table(n, first + then, ahead=3)]
        close(session.told[2]["forecast"], expected(run, wanted), 1e-4)
        again = alone(listener, ("feed", {"units": session.units}))
        close(again.told[0], session.told[2])
        assert again.units == session.units


def windows_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many windows the model forecasts in each call from now on."""
    counts, forecast = list[int](), run.model.forecast

    def counting(batch: Any, **options: Any) -> Any:
        counts.append(len(batch.past))
        return forecast(batch, **options)

    monkeypatch.setattr(run.model, "forecast", counting)
    return counts


LONG = [round(float(value), 3) for value in 10 + 3 * np.sin(np.arange(TRACKED + 50) / 3)]


@pytest.mark.parametrize("kind", ["direct", "both directions", "segments", "transformer", "imported"])
def test_a_window_is_read_once(runs: dict[str, Run], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a series with a scale from the training, or of a model without scales; others are measured anew."""
    run = runs[kind]
    listener, fresh, first = run.task.listener(run), run.task.listener(run), TRACKED + 20
    about = {} if run.scaler.raw else {"id": next(iter(run.scaler.scales))}
    counts = windows_read(run, monkeypatch)
    pieces = [LONG[:first], LONG[first : first + 1], LONG[first + 1 : first + 4], [None], LONG[first + 5 :]]
    memory, read = listener.begin(), []
    for place, piece in enumerate(pieces):
        work = Work("feed", listener.check("feed", {"values": piece} | ({} if place else about)), memory)
        listener.round([work])
        memory = work.memory
        read.append(sum(counts))
        counts.clear()
    assert read == [TRACKED + 1, 1, 3, 0, 1 + len(pieces[-1])]
    whole = alone(fresh, ("feed", {"values": [value for piece in pieces for value in piece], **about}))
    assert sum(counts) == TRACKED + 1
    close(work.answer, whole.told[0])


def test_times_go_on_and_sessions_without_times_are_counted(runs: dict[str, Run]) -> None:
    run = runs["columns"]
    rows = [[row["y"], row["rain"], row["price"]] for row in table(0, 9, ahead=3)]
    both = [{"values": rows, "static": {"shop": "x"}, **about} for about in ({}, {"ds": "2024-02-27"})]
    speak(run.task.listener(run), sessions := [Session([("feed", each)]) for each in both])
    counted, dated = (session.told[0]["forecast"] for session in sessions)
    assert [row["ds"] for row in counted] == [9, 10, 11]
    assert [row["ds"] for row in dated] == ["2024-03-07", "2024-03-08", "2024-03-09"]
    close([row | {"ds": 0} for row in counted], [row | {"ds": 0} for row in dated])


@pytest.mark.parametrize(
    ("kind", "asked", "message"),
    [
        ("direct", {}, "feed: expected one of values, units, got none"),
        ("direct", {"valeus": [1]}, "did you mean 'values'"),
        ("direct", {"values": [[1, 2]]}, "values: row 1: expected y in a row, got 2 numbers"),
        ("direct", {"values": [1, "2"]}, "values: row 2: expected numbers"),
        ("direct", {"values": [True]}, "got True"),
        ("direct", {"values": [float("inf")]}, "got inf"),
        ("direct", {"values": [1e101]}, "numbers of at most 1e"),
        ("direct", {"units": [1, {"values": 2}]}, "row 2: expected numbers"),
        ("direct", {"units": [{"values": 1, "when": 2}]}, "got values, when"),
        ("direct", {"values": [], "ds": 5}, "ds: expected a value too"),
        ("direct", {"values": [1], "ds": "2024-01-01"}, "whole numbers, as in training"),
        ("imported", {"values": [1], "ds": 5}, "knows no calendar"),
        ("columns", {"values": [1]}, "y and rain and price in a row, got 1 numbers"),
        ("columns", {"values": [[1, 2, 3]], "ds": "yesterday"}, "a time such as"),
        ("columns", {"values": [[1, 2, 3]], "static": {"shpo": "x"}}, "static: expected an object of shop"),
    ],
)
def test_what_is_asked_is_checked(runs: dict[str, Run], kind: str, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        runs[kind].task.listener(runs[kind]).check("feed", asked)


def test_a_session_that_fails_harms_itself_alone(runs: dict[str, Run]) -> None:
    run = runs["columns"]
    listener = run.task.listener(run)
    rows = [[row["y"], row["rain"], row["price"]] for row in table(0, 9, ahead=3)]
    good, late = ({"values": rows, "static": {"shop": "x"}}, {"values": rows, "ds": DAYS[0], "static": {"shop": "x"}})
    sessions = [
        Session([("feed", good)] * 1),
        Session([("feed", {"values": rows})]),
        Session([("feed", good), ("feed", late)]),
    ]
    speak(listener, sessions)
    assert "static: expected shop, got none" in str(sessions[1].told[0])
    assert "ds: expected none, for the series has begun" in str(sessions[2].told[1])
    close(sessions[0].told[0], sessions[2].told[0])
    assert sessions[2].memories[-1].position == 12


def test_what_a_client_wants_to_know_and_what_it_may_bring(runs: dict[str, Run]) -> None:
    listener = runs["columns"].task.listener(runs["columns"])
    facts = listener.about()
    assert (facts["columns"], facts["horizon"], facts["window"]) == (["y", "rain", "price"], 3, 6)
    assert (facts["levels"], facts["step"], facts["static"]) == (["q10", "q50", "q90"], "1 day", ["shop"])
    assert facts["series"] == ["a", "b", "c"]
    memory = Memory(WholeMemory(torch.zeros(1, 2, 3, dtype=torch.float64)), {"ds": "2024-01-01"}, 2)
    listener.check_memory(memory)
    for wrong in (
        memory._replace(position=3),
        memory._replace(notes={"ds": "soon"}),
        memory._replace(notes={"day": 1}),
    ):
        with pytest.raises(UserError):
            listener.check_memory(wrong)


@pytest.mark.parametrize("kind", [*KINDS, "imported"])
def test_what_is_watched_is_what_the_window_does(runs: dict[str, Run], kind: str) -> None:
    """The window has 6 values, and the newest value is missing: the states of others are no numbers."""
    run = runs[kind]  # windows are in float32
    window, first = run.model.past_steps, max(0, 9 - run.model.past_steps)
    windows = last_windows(
        run.task.listener(run).panel([Told(np.array(WAVES[0][:9])[:, None], None, None, {})]), run.scaler, window, 3
    )
    inputs, lengths = run.model.inputs(windows.batch(np.arange(1)))
    part = memory_of(run.model)
    expected = memory_over(part, lambda: part(inputs, lengths=lengths))
    expected = {name: values.repeat(run.model.segment, 0)[: 9 - first] for name, values in expected.items()}
    with Sessions(run) as sessions:
        session = sessions.create(values=WAVES[0][:4])
        session.feed(values=[*WAVES[0][4:9], None])
        for begin in (0, 1, first, first + 1):
            found = session.watch(begin=begin, unit=1, units=[0, 1])
            for values in (
                *(part["values"].T for part in found["states"].values()),
                *(v for g in found["gates"].values() for v in g.values()),
            ):
                assert len(values) == 10 - begin
                assert np.isnan(values[: max(0, first - begin)]).all()
                assert np.isnan(values[-1]).all()
            kept = slice(max(0, first - begin), -1)
            same_memory(found, expected, max(begin, first) - first, units=[0, 1], unit=1, steps=kept, atol=1e-6)
