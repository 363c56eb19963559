"""Scores of forecasts of many series: absolute and squared errors, scaled errors, quantiles and their coverage.

A true value that is missing is not scored. A forecast that is not a number makes every score of it NaN: leaving it out
would let a model win that diverged. Means are over values; scaled errors are means over series (as in the M
competitions), because the series of a panel may be of very different sizes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

LEVELS = (0.1, 0.5, 0.9)  # of the quantiles that are scored; the outer two hold the 80 % interval between them
SUMS = ("absolute", "squared", "squared_standardised", "symmetric", "pinball", "covered")


class ForecastScores:
    """The scores of forecasts of N series over H steps, batch by batch.

    `seasonal_error` (N,) is the mean absolute difference from one season to the next in the training part, by which
    MASE and the pinball loss are divided (Hyndman and Koehler 2006, "Another look at measures of forecast accuracy").
    A series in which it is 0 has neither, and is counted. `deviation` (N,) is that of the training part.

    >>> scores = ForecastScores(seasonal_error=np.array([2.0]), deviation=np.array([3.0]), horizon=2)
    >>> truth, mean = np.array([[10.0, 12.0]]), np.array([[11.0, 15.0]])
    >>> scores.add(np.array([0]), truth, mean, quantiles=np.stack([mean - 2, mean, mean + 2], -1))
    >>> report = scores.report()
    >>> report["mae"], report["mase"], report["coverage_80"]
    (2.0, 1.0, 50.0)
    >>> scores.by_step("absolute")
    array([1., 3.])
    """

    def __init__(self, seasonal_error: Floats, deviation: Floats, horizon: int) -> None:
        self.seasonal_error = seasonal_error
        self.unit = np.where(deviation > 0, deviation, 1.0)
        self.counts = np.zeros((len(seasonal_error), horizon))  # of true values, by series and step of the horizon
        self.sums = {name: np.zeros((len(seasonal_error), horizon)) for name in SUMS}

    def add(self, series: npt.NDArray[np.int64], truth: Floats, mean: Floats, quantiles: Floats) -> None:
        """Forecasts of B windows of the `series` (B,): `truth`, `mean` (B, H); `quantiles` (B, H, 3) of `LEVELS`."""
        there = ~np.isnan(truth)
        error = mean - truth
        above = truth[..., None] - quantiles
        levels = np.array(LEVELS)
        size = np.abs(truth) + np.abs(mean)
        values = {
            "absolute": np.abs(error),
            "squared": error**2,
            "squared_standardised": (error / self.unit[series, None]) ** 2,
            "symmetric": np.divide(np.abs(error), size, out=np.zeros_like(size), where=size != 0),
            "pinball": np.maximum(levels * above, (levels - 1) * above).mean(-1),
            "covered": ((above[..., 0] >= 0) & (above[..., 2] <= 0)) + 0.0 * above.sum(-1),  # NaN of a NaN
        }
        np.add.at(self.counts, series, there)
        for name, found in values.items():
            np.add.at(self.sums[name], series, np.where(there, found, 0.0))

    def report(self) -> dict[str, Any]:
        """All scores by name; None where no value, or no series, can be scored.

        mae, mse; mse_standardised, of values that are divided by the deviation of the training part; mase; smape,
        from 0 to 200 (Makridakis and Hibon 2000); quantile_loss, the mean pinball loss of the quantiles, divided as
        MASE is; coverage_80, the per cent of the values from the 10 % quantile to the 90 % quantile.
        """
        return {
            "mae": self._mean("absolute"),
            "mse": self._mean("squared"),
            "mse_standardised": self._mean("squared_standardised"),
            "mase": self._scaled("absolute"),
            "smape": self._mean("symmetric", 200.0),
            "quantile_loss": self._scaled("pinball"),
            "coverage_80": self._mean("covered", 100.0),
        }

    def by_step(self, name: str = "squared_standardised") -> Floats:
        """The mean of one of `SUMS` at each step of the horizon (H,); NaN where no value is scored."""
        with np.errstate(invalid="ignore"):
            return self.sums[name].sum(0) / self.counts.sum(0)

    def by_series(self, name: str = "squared_standardised") -> Floats:
        """The mean of one of `SUMS` for each series (N,); NaN where no value is scored."""
        with np.errstate(invalid="ignore"):
            return self.sums[name].sum(1) / self.counts.sum(1)

    @property
    def without_scale(self) -> int:
        """How many series with a scored value have no scaled scores, because the scale is zero."""
        return int(((self.seasonal_error == 0) & (self.counts.sum(1) > 0)).sum())

    def _mean(self, name: str, factor: float = 1.0) -> float | None:
        total = self.counts.sum()
        return float(factor * self.sums[name].sum() / total) if total else None

    def _scaled(self, name: str) -> float | None:
        kept = (self.seasonal_error > 0) & (self.counts.sum(1) > 0)
        return float((self.by_series(name)[kept] / self.seasonal_error[kept]).mean()) if kept.any() else None
