"""Windows of series and their scales."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.series import panel_of, ramp

from elman.data.series_columns import SeriesColumns
from elman.data.series_scaler import fit_scaler
from elman.data.windows import (
    WindowBatches,
    Windows,
    backtest_windows,
    evaluation_batches,
    last_windows,
    training_windows,
)


def pasts(windows: Windows) -> list[tuple[list[float], list[float]]]:
    """What each window says in the units of the data, without what is not there."""
    found = []
    for _, batch in evaluation_batches(windows, 3):
        unit = torch.where(batch.deviation > 0, batch.deviation, 1)[:, None]
        past, future = (batch.mean[:, None] + unit * part for part in (batch.past, batch.future))
        for row, length in enumerate(batch.lengths.tolist()):
            assert past[row, length:].isnan().all(), "rows begin at the left"
            found.append((past[row, :length].tolist(), [y for y in future[row].tolist() if y == y]))
    return found


def test_every_window_of_a_training_is_there_once() -> None:
    panel = panel_of(ramp(12))
    windows = training_windows(panel, fit_scaler(panel, panel.lengths, 1), panel.lengths, 4, 3)
    expected = [(list(range(n - 4, n)), list(range(n, n + 3))) for n in range(4, 10)]
    for (past, future), (x, y) in zip(pasts(windows), expected, strict=True):
        assert past == pytest.approx(x, abs=1e-5)
        assert future == pytest.approx(y, abs=1e-5)
    assert windows.targets == 18


def test_short_series_are_used_as_far_as_they_go() -> None:
    """Shorter than a window and a horizon; than the horizon; of one step, from which nothing can be learnt."""
    panel = panel_of(ramp(6), ramp(3), ramp(1), ramp(2))
    scaler = fit_scaler(panel, panel.lengths, 1)
    train = training_windows(panel, scaler, panel.lengths, 5, 4)
    assert list(zip(train.series.tolist(), train.origins.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 1), (3, 1)]
    assert [len(future) for _, future in pasts(train)] == [4, 4, 2, 1]
    test = backtest_windows(panel, scaler, 5, 4)
    assert list(zip(test.series.tolist(), test.origins.tolist(), strict=True)) == [(0, 2), (1, 1), (3, 1)]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 7), st.integers(1, 5), st.none() | st.integers(1, 4))
def test_a_backtest_keeps_every_window(length: int, window: int, horizon: int, step: int, last: int | None) -> None:
    panel = panel_of(ramp(length), ramp(40))
    test = backtest_windows(panel, fit_scaler(panel, panel.lengths, 1), window, horizon, step=step, last=last)
    origins = test.origins[test.series == 0].tolist()
    if length >= window + horizon:
        every = list(range(window, length - horizon + 1))
        assert origins == (every[::step] if last is None else every[::-1][::step][:last][::-1])
    else:
        assert origins == ([max(length - horizon, 1)] if length > 1 else [])
    found = [rows for rows, _ in evaluation_batches(test, 4)]
    assert np.concatenate([np.zeros(0, np.int64), *found]).tolist() == list(range(len(test)))


def test_batches_hold_every_window_once_in_an_order_of_the_seed_and_the_epoch() -> None:
    panel = panel_of(ramp(40), ramp(30, -2.0))
    windows = training_windows(panel, fit_scaler(panel, panel.lengths, 1), panel.lengths, 4, 3)

    def epoch(seed: int, number: int) -> list[float]:
        batches = WindowBatches(windows, 16, seed)
        return torch.cat([batches.batch(number, at).past[:, 0] for at in range(batches.count(number))]).tolist()

    assert len(epoch(1, 0)) == len(windows), "the last batch is smaller, and is kept"
    assert sorted(epoch(1, 0)) == sorted(epoch(2, 0)) == sorted(epoch(1, 5))
    assert epoch(1, 0) == epoch(1, 0)
    assert len({tuple(epoch(*each)) for each in ((1, 0), (2, 0), (1, 1))}) == 3
    assert len(windows.thinned(7)) == 7
    assert windows.thinned(99) is windows


@pytest.mark.parametrize("end", [20, 3])
def test_values_of_another_part_are_seen_by_nothing(end: int) -> None:
    """Whatever they become, scaler and windows of training stay as they are; 3 steps are less than a horizon."""
    ends = np.array([end])
    values = ramp(end)
    rng = np.random.default_rng(0)
    made = []
    for tail in ([0.0] * 12, [1e6, -1e6, *rng.normal(size=10).tolist()], [None] * 11 + [3.0]):
        panel = panel_of([*values, *tail])
        scaler = fit_scaler(panel, ends, 2)
        windows = training_windows(panel, scaler, ends, 6, 5)
        batch = windows.batch(np.arange(len(windows)))
        made.append((scaler, [part.numpy().tobytes() for part in batch]))
    assert made[0] == made[1] == made[2]
    assert len(windows) == max(end - 6 - 5 + 1, 1)


def test_a_series_has_its_own_scale_whatever_its_neighbours() -> None:
    values = [3.0, 5.0, None, 9.0, 1.0, 4.0]
    alone = fit_scaler(panel_of(values), np.array([5]), 1)
    among = fit_scaler(panel_of(values, [1e9, 2e9, 3e9]), np.array([5, 3]), 1)
    assert alone.scales["s0"] == among.scales["s0"]
    mean, deviation, seasonal_error = alone.scales["s0"]
    assert mean == np.mean([3, 5, 9, 1])
    assert deviation == np.std([3, 5, 9, 1])
    assert seasonal_error == np.mean([2, 8]), "of neighbours that are both there"
    assert fit_scaler(panel_of(values), np.array([5]), 2).scales["s0"][2] == 4, "of 5 and 9"


def test_a_constant_has_no_deviation_and_a_new_id_has_its_own_past() -> None:
    panel = panel_of([0.1] * 50, ramp(20))
    scaler = fit_scaler(panel, panel.lengths, 1)
    assert scaler.scales["s0"] == (0.1, 0.0, 0.0), "although the mean of fifty times 0.1 is another number"
    other = replace(panel_of([*ramp(8), 1e9], ramp(20)), ids=("new", "s1"))
    scales = scaler.of(other, np.array([8, 20]))
    assert scales.mean.tolist() == [3.5, 9.5]
    changed = panel_of([0.1, 0.2, 0.3, 7.0], ramp(20))
    assert scaler.of(changed, np.array([3, 20])).deviation[0] == pytest.approx(np.std([0.1, 0.2, 0.3]))


def test_values_far_away_are_finite() -> None:
    """Of a series that hardly moved, a later value may be more deviations away than a float32 holds."""
    panel = panel_of([*(1 + 1e-12 * (step % 3) for step in range(20)), 1e90])
    test = backtest_windows(panel, fit_scaler(panel, np.array([20]), 1), 6, 2)
    assert test.batch(np.arange(len(test))).future.max() == 1e9


def test_missing_values_stay_missing_and_touch_no_neighbour() -> None:
    whole, holes = ramp(30), ramp(30)
    for step in (7, 8, 20):
        holes[step] = None
    panels = [panel_of(values) for values in (whole, holes)]
    scaler = fit_scaler(panels[0], panels[0].lengths, 1)
    batches = []
    for panel in panels:
        windows = training_windows(panel, scaler, panel.lengths, 6, 4)
        batches.append(windows.batch(np.arange(len(windows))))
        assert windows.targets == int((~batches[-1].future.isnan()).sum())
    assert len(batches[0].past) == len(batches[1].past)
    for part, other in zip(batches[0][:2], batches[1][:2], strict=True):
        there = ~other.isnan()
        assert (~there).sum() > 0
        assert torch.equal(part[there], other[there])


def test_windows_without_a_value_are_not_learnt_from_but_are_tested() -> None:
    panel = panel_of([*ramp(10), *[None] * 12, *ramp(10)])
    scaler = fit_scaler(panel, panel.lengths, 1)
    train = training_windows(panel, scaler, panel.lengths, 4, 3)
    batch = train.batch(np.arange(len(train)))
    assert not batch.past.isnan().all(1).any()
    assert not batch.future.isnan().all(1).any()
    assert len(backtest_windows(panel, scaler, 4, 3)) == 32 - 4 - 3 + 1 > len(train)


def test_further_columns_are_beside_their_steps() -> None:
    roles = SeriesColumns(past=(), future=("price",), static=("size", "shop"))
    panel = panel_of([*ramp(9), None, None, None], [*ramp(8), None, None, None], columns=roles)
    scaler = fit_scaler(panel, panel.lengths, 1)
    windows = last_windows(panel, scaler, 4, 3)
    batch = windows.batch(np.arange(2))
    mean, deviation = scaler.columns["price"]
    assert batch.future.isnan().all()
    assert (batch.past_exogenous[..., 0] * deviation + mean).round().tolist() == [[5, 6, 7, 8], [14, 15, 16, 17]]
    assert (batch.future_exogenous[..., 0] * deviation + mean).round().tolist() == [[9, 10, 11], [18, 19, 20]]
    assert batch.static.tolist() == [[-1, 1, 0], [1, 0, 1]]
    assert scaler.words == {"shop": ("x", "y")}
    unknown = replace(panel, static={"size": [3, None], "shop": ["z", "x"]})
    assert last_windows(unknown, scaler, 4, 3).batch(np.arange(2)).static.tolist() == [[5, 0, 0], [0, 1, 0]]
