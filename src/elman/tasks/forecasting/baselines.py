"""Simple forecasts that every forecaster has to be better than: naive, seasonal naive, and linear.

All work on standardised windows, and on nothing but what a model sees of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, FiniteFloat

from elman.data.panel import Floats
from elman.data.windows import WindowBatch, Windows, evaluation_batches
from elman.errors import UserError
from elman.metrics.forecasts import LEVELS
from elman.reading import read_json

NAMES = ("naive", "seasonal_naive", "linear")
RIDGE = 0.01  # of the mean square of an input, for each window
BATCH = 4096  # windows
MOST_WINDOWS = 65_536  # that the linear forecast is fitted to
MOST_RESIDUALS = 8_192  # windows whose errors give the quantiles


@dataclass(frozen=True, eq=False)
class Baselines:
    """Fitted on the training part. `weights` (L + 1, H) are those of the linear forecast, its constant last.

    `spread` has, for each name, quantiles (H, 3) of the errors in the training part, at `metrics.forecasts.LEVELS`.
    """

    season: int
    weights: Floats
    spread: Mapping[str, Floats]

    @property
    def window(self) -> int:
        """The steps of the past that a window has, L."""
        return len(self.weights) - 1

    @property
    def horizon(self) -> int:
        """The steps of the future, H."""
        return self.weights.shape[1]

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        spread = {name: values.tolist() for name, values in self.spread.items()}
        return {"season": self.season, "weights": self.weights.tolist(), "spread": spread}

    def forecast(self, batch: WindowBatch) -> dict[str, Floats]:
        """Forecasts (B, H) by each name, standardised as the batch is."""
        past = newest_last(batch)  # (B, L)
        naive = np.nan_to_num(last_value(past))  # where all is missing, the mean of the series
        inputs = np.nan_to_num(past - naive[:, None])
        changed = batch.deviation.numpy()[:, None] > 0  # a constant has no trend
        horizon = np.arange(self.horizon)
        return {
            "naive": naive[:, None].repeat(self.horizon, 1),
            "seasonal_naive": last_season(past, naive, self.season)[:, horizon % self.season],
            "linear": inputs @ self.weights[:-1] + self.weights[-1] * changed + naive[:, None],
        }


@dataclass(frozen=True)
class StoredBaselines:
    """The content of `baselines.json`."""

    season: Annotated[int, Field(ge=1)]
    weights: list[list[FiniteFloat]]
    spread: dict[str, list[list[FiniteFloat]]]


def read_baselines(path: Path, window: int, horizon: int) -> Baselines:
    """The baselines in a file. Raises `UserError` where it is damaged, or that of other sizes."""
    stored = read_json(path, StoredBaselines)
    sizes = {"weights": (window + 1, horizon), **dict.fromkeys(NAMES, (horizon, len(LEVELS)))}
    given = {"weights": stored.weights, **stored.spread}
    for name, wanted in sizes.items():
        rows = given.get(name, [])
        if len(rows) != wanted[0] or any(len(row) != wanted[1] for row in rows):
            raise UserError(f"{path} is another model's", expected=f"{name} of the shape {wanted}", got="another")
    spread = {name: np.array(stored.spread[name]) for name in NAMES}
    return Baselines(stored.season, np.array(stored.weights), spread)


def fit_baselines(windows: Windows, season: int) -> Baselines:
    """The baselines of a training part.

    The linear forecast is least squares with a ridge from the past, relative to its last value, to the horizon, for all
    series together; windows without a value missing in the future count (the zeros that stand for missing values of the
    past are changes of nothing).
    """
    L, H = windows.window, windows.horizon
    gram, moments, count = np.zeros((L + 1, L + 1)), np.zeros((L + 1, H)), 0
    for _, batch in evaluation_batches(windows.thinned(MOST_WINDOWS), BATCH):
        past, future = newest_last(batch), batch.future.double().numpy()
        last = last_value(past)
        whole = ~np.isnan(future).any(1) & ~np.isnan(last)
        change = np.nan_to_num(past[whole] - last[whole, None])
        inputs = np.concatenate([change, np.ones((len(change), 1))], 1)
        gram += inputs.T @ inputs
        moments += inputs.T @ (future[whole] - last[whole, None])
        count += len(inputs)
    ridge = RIDGE * np.trace(gram[:L, :L]) / L + 1e-9
    weights = np.zeros((L + 1, H))
    if count:
        weights += np.linalg.solve(gram + np.diag([ridge] * L + [1e-9]), moments)
    fitted = Baselines(season, weights, {})
    errors: dict[str, list[Floats]] = {name: [np.zeros((1, H))] for name in NAMES}  # one, so that there is one
    for _, batch in evaluation_batches(windows.thinned(MOST_RESIDUALS), BATCH):
        for name, made in fitted.forecast(batch).items():
            errors[name].append(batch.future.double().numpy() - made)
    spread = {name: np.nanquantile(np.concatenate(found), LEVELS, axis=0).T for name, found in errors.items()}
    return Baselines(season, weights, spread)


def newest_last(batch: WindowBatch) -> Floats:
    """The past (B, L) with its newest value at the right, NaN before its beginning."""
    B, L = batch.past.shape
    at = np.arange(L) - (L - batch.lengths.numpy()[:, None])  # (B, L)
    past = batch.past.double().numpy()[np.arange(B)[:, None], np.maximum(at, 0)]
    return np.where(at >= 0, past, np.nan)


def last_value(past: Floats) -> Floats:
    """The newest value (B,) that is not missing, NaN where all of them are."""
    L = past.shape[-1]
    at = np.where(np.isnan(past), -1, np.arange(L)).max(-1)
    found = np.take_along_axis(past, np.maximum(at, 0)[..., None], -1)[..., 0]
    return np.where(at >= 0, found, np.nan)


def last_season(past: Floats, otherwise: Floats, season: int) -> Floats:
    """The newest value (B, season) at each place of a season; a place that has none takes `otherwise` (B,)."""
    B, L = past.shape
    seasons = -(-L // season)
    padded = np.concatenate([np.full((B, seasons * season - L), np.nan), past], 1)
    found = last_value(padded.reshape(B, seasons, season).transpose(0, 2, 1))
    return np.where(np.isnan(found), otherwise[:, None], found)
