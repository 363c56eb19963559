"""Naive, seasonal naive and linear forecasts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.series import panel_of

from elman.data.series_scaler import fit_scaler
from elman.data.windows import Windows, training_windows
from elman.tasks.forecasting.baselines import Baselines, fit_baselines


def windows_of(*series: Any, window: int = 7, horizon: int = 5, season: int = 3) -> Windows:
    panel = panel_of(*series)
    return training_windows(panel, fit_scaler(panel, panel.lengths, season), panel.lengths, window, horizon)


def slow(values: list[float], origin: int, window: int, horizon: int, season: int) -> tuple[list[float], list[float]]:
    """By the definitions: the newest value that is there; and that of the same place in a season, or else the naive."""
    past = values[max(origin - window, 0) : origin]
    naive = next((y for y in reversed(past) if y == y), 0.0)
    seasonal = []
    for h in range(horizon):
        at = len(past) - season + h % season
        found = [past[k] for k in range(at, -1, -season) if past[k] == past[k]]
        seasonal.append(found[0] if found else naive)
    return [naive] * horizon, seasonal


@pytest.mark.parametrize("season", [1, 3, 7, 9])
def test_naive_forecasts_are_their_definitions(season: int) -> None:
    rng = np.random.default_rng(season)
    series = [[None if rng.random() < 0.3 else float(y) for y in rng.normal(size=length)] for length in (30, 8, 12)]
    for values in series:
        values[0] = values[-1] = 1.0
    windows = windows_of(*series, season=season)
    batch = windows.batch(np.arange(len(windows)))
    made = Baselines(season, np.zeros((8, 5)), {}).forecast(batch)
    for row, (n, origin) in enumerate(zip(windows.series, windows.origins, strict=True)):
        begin, end = windows.panel.bounds[n], windows.panel.bounds[n + 1]
        naive, seasonal = slow(windows.standardised.values[begin:end].tolist(), int(origin), 7, 5, season)
        assert made["naive"][row].tolist() == naive
        assert made["seasonal_naive"][row].tolist() == seasonal
        assert made["linear"][row].tolist() == naive, "whose weights are zero"


def test_the_linear_forecast_is_least_squares() -> None:
    """An autoregression without noise is continued, at any level; with noise, as a ridge by numpy has it."""
    rng = np.random.default_rng(0)
    values = list(rng.normal(size=3))
    for _ in range(300):
        values.append(1.2 * values[-1] - 0.7 * values[-2] + 0.5 * values[-3])
    windows = windows_of(values[:60], window=4, horizon=2)
    batch = windows.batch(np.arange(len(windows)))
    fitted = fit_baselines(windows, 3)
    naive, linear = (np.abs(fitted.forecast(batch)[name] - batch.future.numpy()).mean() for name in ("naive", "linear"))
    assert linear < 0.05 * naive
    noisy = windows_of(list(rng.normal(size=80)), window=4, horizon=2)
    batch = noisy.batch(np.arange(len(noisy)))
    past, future = batch.past.double().numpy(), batch.future.double().numpy()
    inputs = np.concatenate([past - past[:, -1:], np.ones((len(past), 1))], 1)
    penalty = 0.01 * np.square(inputs[:, :4]).sum() / 4 + 1e-9
    root = np.diag(np.sqrt([penalty] * 4 + [1e-9]))
    expected, *_ = np.linalg.lstsq(
        np.concatenate([inputs, root]), np.concatenate([future - past[:, -1:], np.zeros((5, 2))]), rcond=None
    )
    np.testing.assert_allclose(fit_baselines(noisy, 3).weights, expected, rtol=1e-6, atol=1e-9)


def test_their_intervals_hold_eight_tenths_of_the_training() -> None:
    rng = np.random.default_rng(0)
    windows = windows_of(np.cumsum(rng.normal(size=600)).tolist())
    fitted = fit_baselines(windows, 3)
    batch = windows.batch(np.arange(len(windows)))
    for name, mean in fitted.forecast(batch).items():
        low, high = (mean + fitted.spread[name][:, k] for k in (0, 2))
        covered = (batch.future.numpy() >= low) & (batch.future.numpy() <= high)
        assert covered.mean() == pytest.approx(0.8, abs=0.01), name


def test_series_without_a_whole_window_and_constants_have_forecasts() -> None:
    fitted = fit_baselines(windows_of([5.0] * 20, [1.0, 2.0], [None, 4.0, None, 2.0]), 3)
    assert np.isfinite(fitted.weights).all()
    assert all(np.isfinite(spread).all() for spread in fitted.spread.values())
    assert json.loads(json.dumps(fitted.to_json()))["season"] == 3
