"""Seasons that a calendar does not tell."""

from __future__ import annotations

import numpy as np
import pytest
from tests.series import panel_of

from elman.data.panel import read_panel
from elman.data.seasons import autocorrelation, find_season
from elman.data.series_sources import series_table


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=length)


@pytest.mark.parametrize("season", [2, 5, 12])
def test_a_season_is_found_beside_a_trend_and_noise(season: int) -> None:
    steps = np.arange(120)
    waves = [5 * np.cos(2 * np.pi * (steps + phase) / season) + 0.3 * steps + noise(120, phase) for phase in range(4)]
    series = [values.tolist() for values in waves]
    series[0][7] = series[1][50] = None
    panel = panel_of(*series)
    assert find_season(panel, panel.lengths) == season


@pytest.mark.parametrize("values", [noise(200), np.cumsum(noise(200)), np.arange(200.0), np.ones(200), noise(3)])
def test_what_has_no_season(values: np.ndarray) -> None:
    panel = panel_of(values.tolist())
    assert find_season(panel, panel.lengths) == 1


def test_only_the_steps_before_an_end_are_seen() -> None:
    steps = np.arange(200)
    values = np.where(steps < 60, noise(200), 9 * np.cos(steps * np.pi / 3))
    assert find_season(panel_of(values.tolist()), np.array([200])) == 6
    assert find_season(panel_of(values.tolist()), np.array([60])) == 1


def test_autocorrelation_is_its_definition() -> None:
    values = noise(30)
    centred = values - values.mean()
    expected = [(centred[lag:] * centred[: 30 - lag]).sum() / (centred**2).sum() for lag in range(11)]
    np.testing.assert_allclose(autocorrelation(values, 12), [*expected, np.nan, np.nan])


def test_sunspots_come_about_every_eleven_years() -> None:
    pytest.importorskip("statsmodels")
    panel = read_panel(series_table("sunspots"))
    assert find_season(panel, panel.lengths) == 10, "whose autocorrelation is .659, that of 11 is .650"
