"""Scores of forecasts against loops over their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elman.metrics.forecasts import LEVELS, ForecastScores

Floats = np.ndarray


def scored(truth: Floats, mean: Floats, quantiles: Floats, series: list[int], scale: list[float]) -> ForecastScores:
    scores = ForecastScores(np.array(scale), np.array([2.0, 0.0, 4.0]), truth.shape[1])
    for at in range(0, len(truth), 3):  # in batches, the last of which is smaller
        part = slice(at, at + 3)
        scores.add(np.array(series[part]), truth[part], mean[part], quantiles[part])
    return scores


def drawn(seed: int = 0) -> tuple[Floats, Floats, Floats, list[int]]:
    rng = np.random.default_rng(seed)
    truth, mean = rng.normal(size=(2, 8, 5)) * 10
    truth[rng.random(truth.shape) < 0.2] = np.nan
    truth[0] = np.nan
    quantiles = np.sort(mean[..., None] + rng.normal(size=(8, 5, 3)) * 9, -1)
    return truth, mean, quantiles, [0, 0, 1, 2, 1, 0, 2, 2]


def test_scores_are_their_definitions() -> None:
    truth, mean, quantiles, series = drawn()
    scale = [1.5, 0.0, 0.25]
    sums: dict[str, list[float]] = {name: [] for name in ("mae", "mse", "mse_standardised", "smape", "coverage_80")}
    scaled: dict[int, list[tuple[float, float]]] = {0: [], 1: [], 2: []}
    for w, n in enumerate(series):
        for h in range(5):
            y, x, q = truth[w, h], mean[w, h], quantiles[w, h]
            if math.isnan(y):
                continue
            sums["mae"].append(abs(x - y))
            sums["mse"].append((x - y) ** 2)
            sums["mse_standardised"].append(((x - y) / [2, 1, 4][n]) ** 2)
            sums["smape"].append(200 * abs(x - y) / (abs(x) + abs(y)))
            sums["coverage_80"].append(100.0 if q[0] <= y <= q[2] else 0.0)
            pinball = [a * (y - v) if y >= v else (1 - a) * (v - y) for a, v in zip(LEVELS, q, strict=True)]
            scaled[n].append((abs(x - y), sum(pinball) / 3))
    scores = scored(truth, mean, quantiles, series, scale)
    report = scores.report()
    for name, values in sums.items():
        assert report[name] == pytest.approx(np.mean(values)), name
    for place, name in enumerate(("mase", "quantile_loss")):
        of_series = [np.mean([each[place] for each in scaled[n]]) / scale[n] for n in (0, 2)]
        assert report[name] == pytest.approx(np.mean(of_series)), name
    assert scores.without_scale == 1
    assert scores.by_step("absolute") == pytest.approx(np.nanmean(abs(mean - truth), 0))
    assert scores.by_series("absolute")[1] == pytest.approx(np.nanmean(abs(mean - truth)[[2, 4]]))


def test_the_order_of_windows_does_not_matter() -> None:
    truth, mean, quantiles, series = drawn()
    order = np.random.default_rng(1).permutation(8)
    shuffled = scored(truth[order], mean[order], quantiles[order], [series[at] for at in order], [1.5, 0.0, 0.25])
    assert shuffled.report() == pytest.approx(scored(truth, mean, quantiles, series, [1.5, 0.0, 0.25]).report())


@pytest.mark.parametrize("of", ["mean", "quantiles"])
def test_a_forecast_that_is_no_number_is_not_left_out(of: str) -> None:
    """A model that diverged in one window would win if its window did not count."""
    truth, mean, quantiles, series = drawn()
    (mean if of == "mean" else quantiles)[1] = np.nan
    report = scored(truth, mean, quantiles, series, [1.5, 0.0, 0.25]).report()
    spoilt = {name for name, value in report.items() if math.isnan(value)}
    points = {"mae", "mse", "mse_standardised", "mase", "smape"}
    assert spoilt == (points if of == "mean" else {"quantile_loss", "coverage_80"})


def test_constant_series_and_nothing_to_score() -> None:
    """A forecast of a constant that is right has no error; there is no scale to divide by, and no score is made up."""
    one = np.full((2, 5), 7.0)
    scores = scored(one, one, np.stack([one] * 3, -1), [1, 1], [1.0, 0.0, 1.0])
    assert scores.report() == {
        "mae": 0.0,
        "mse": 0.0,
        "mse_standardised": 0.0,
        "mase": None,
        "smape": 0.0,
        "quantile_loss": None,
        "coverage_80": 100.0,
    }
    zero = np.zeros((1, 5))
    assert scored(zero, zero, np.zeros((1, 5, 3)), [0], [1.0, 1.0, 1.0]).report()["smape"] == 0.0, "0 of 0 is no error"
    none = np.full((1, 5), np.nan)
    assert set(scored(none, one[:1], np.ones((1, 5, 3)), [0], [1.0, 1.0, 1.0]).report().values()) == {None}


def test_scores_are_those_of_utilsforecast() -> None:
    """The numbers are what `utilsforecast.losses` 0.2.17 said of these forecasts."""
    random, horizon, season = np.random.default_rng(0), 5, 7
    train = [random.normal(size=60).cumsum() * (k + 1) for k in range(3)]
    errors = np.array([np.abs(y[season:] - y[:-season]).mean() for y in train])
    scores = ForecastScores(errors, np.ones(3), horizon)
    for k in range(3):
        for _ in range(4):
            y = random.normal(size=horizon) * (k + 1)
            mean = y + random.normal(size=horizon)
            low, high = y - random.uniform(0, 1, horizon), y + random.uniform(-0.2, 1, horizon)
            median = y + random.normal(size=horizon) * 0.1
            scores.add(np.array([k]), y[None], mean[None], np.stack([low, median, high], -1)[None])
    found = scores.report()
    expected = {
        "mae": 0.8988052491143902,
        "mase": 0.22385227735066712,
        "smape": 86.79640779277341,
        "quantile_loss": 0.012046999968182481,
        "coverage_80": 88.33333333333333,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)
