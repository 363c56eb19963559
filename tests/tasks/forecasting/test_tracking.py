"""Intervals follow the errors of a series: about 80 % hold, whatever changes, and none looks ahead."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elman.models.forecaster import SeriesForecaster
from elman.tasks.forecasting import tracking
from elman.tasks.forecasting.tracking import RATE, WidthTracker

H = 4


def tracker(width: float = 1.0) -> WidthTracker:
    model = SeriesForecaster("gru", 8, H, hidden_size=2)
    model.widths.copy_(torch.tensor([width, 1.0, width]).expand(H, 3))
    return WidthTracker(model)


def forecasts(N: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts of 0 with an interval of ±1.2816, and a truth of this deviation: 1 is what the interval is made for."""
    values = spread * np.random.default_rng(seed).standard_normal(N + H)
    quantiles = np.broadcast_to([-1.2816, 0.0, 1.2816], (N, H, 3)).copy()
    return quantiles, np.lib.stride_tricks.sliding_window_view(values, H)[:N]


def covered(quantiles: np.ndarray, truth: np.ndarray) -> float:
    return float(((truth >= quantiles[..., 0]) & (truth <= quantiles[..., -1])).mean())


@pytest.mark.parametrize("spread", [0.7, 1.0, 2.5])
@pytest.mark.parametrize("step", [1, 3])
def test_about_four_in_five_values_are_covered_whatever_their_spread(spread: float, step: int) -> None:
    quantiles, truth = forecasts(3000, spread)
    kept = np.arange(0, 3000, step)
    moved = tracker(1.4)(np.zeros_like(kept), kept, quantiles[kept], truth[kept])
    late = slice(len(kept) // 3, None)
    assert covered(moved[late], truth[kept][late]) == pytest.approx(0.8, abs=0.03)
    assert moved[-1, 0, 2] == pytest.approx(1.2816 * spread, rel=0.25)
    assert (moved[..., 1] == 0).all()


def test_no_interval_depends_on_values_that_come_after_its_origin() -> None:
    quantiles, truth = forecasts(60, 1.0)
    origins = np.arange(10, 70)
    expected = tracker()(np.zeros(60, int), origins, quantiles, truth)
    for row in (5, 30):
        changed = truth.copy()
        times = origins[:, None] + np.arange(H)
        changed[times >= origins[row]] = 1e6  # not yet known
        found = tracker()(np.zeros(60, int), origins, quantiles, changed)
        np.testing.assert_array_equal(found[: row + 1], expected[: row + 1])
        changed[times == origins[row] - 1] = 1e6  # the newest that is known
        found = tracker()(np.zeros(60, int), origins, quantiles, changed)
        assert (found[row] != expected[row]).any()
        np.testing.assert_array_equal(found[:row], expected[:row])


def test_each_series_begins_with_the_widths_of_the_model_and_calls_go_on() -> None:
    quantiles, truth = forecasts(40, 3.0)
    series, origins = np.repeat([0, 1], 20), np.tile(np.arange(20), 2)
    whole = tracker(0.5)(series, origins, quantiles, truth)
    np.testing.assert_allclose(whole[0, :, 2], 0.5 * 1.2816)
    np.testing.assert_array_equal(whole[20], whole[0])
    alone = tracker(0.5)(series[20:], origins[20:], quantiles[20:], truth[20:])
    np.testing.assert_array_equal(whole[20:], alone)
    going_on = tracker(0.5)
    pieces = [going_on(series[a:b], origins[a:b], quantiles[a:b], truth[a:b]) for a, b in ((0, 7), (7, 25), (25, 40))]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_missing_values_and_flat_quantiles_move_nothing() -> None:
    quantiles, truth = forecasts(30, 1.0)
    rows = np.zeros(30, int), np.arange(30)
    nothing = tracker()(*rows, quantiles, np.full_like(truth, np.nan))
    np.testing.assert_array_equal(nothing, quantiles)
    flat = tracker()(*rows, 0 * quantiles, truth)
    assert (flat == 0).all()


@pytest.mark.parametrize("at_once", [1, 200, tracking.AT_ONCE])
def test_series_side_by_side_have_the_widths_of_each_alone_and_of_the_definition(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(tracking, "AT_ONCE", at_once)
    rng = np.random.default_rng(3)
    series = np.repeat([4, 0, 7], [30, 12, 1])
    origins = np.concatenate([np.cumsum(rng.integers(1, 2 * H, 30)), np.arange(5, 17), [9]])
    quantiles, truth = forecasts(43, 2.0)
    truth = np.where(rng.random(truth.shape) < 0.2, np.nan, truth)
    whole = tracker()(series, origins, quantiles, truth)
    for n in (4, 0, 7):
        rows = series == n
        alone = tracker()(series[rows], origins[rows], quantiles[rows], truth[rows])
        np.testing.assert_array_equal(whole[rows], alone)
    widths = np.ones((H, 3))
    rows = range(30)
    for at in rows:  # w ← w exp(γ (1[s > w] − (1 − p))), value by value as each becomes known
        for now in range(origins[at - 1] if at else origins[0], origins[at]):
            for made in rows[:at]:
                h = now - origins[made]
                if 0 <= h < H and not np.isnan(truth[made, h]):
                    for q in (0, 2):
                        score = truth[made, h] / quantiles[made, h, q]
                        widths[h, q] *= np.exp(RATE * ((score > widths[h, q]) - 0.1))
        np.testing.assert_allclose(whole[at], quantiles[at] * widths, rtol=1e-6)
