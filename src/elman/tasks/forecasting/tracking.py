"""Intervals that follow the errors of a series as they become known."""

from __future__ import annotations

import numpy as np
import torch

from elman.data.panel import Floats
from elman.data.timestamps import Integers
from elman.models.conformal import widened
from elman.models.forecaster import SeriesForecaster
from elman.models.likelihoods import anchor

RATE = 0.02  # of a value that becomes known: about so many parts of a width


class WidthTracker:
    """The widths of a model's quantiles, forecast after forecast.

    A series begins with the model's `widths`, which were fitted to the validation part. Whenever a value becomes known,
    the width of each step h of the horizon and each level p is moved by the score s of the forecast that was made h
    steps before, which is the value's distance from the middle in units of the quantile's:

        w ← w exp(γ (1[s > w] − (1 − p)))          and below the middle with 1 − p for p

    so that in the long run as many values lie below each quantile as its level says, whether or not the errors are like
    those of the validation part. No width depends on a value that was not known when its forecast was made. Quantile
    tracking, in logarithms: Angelopoulos, Candès and Tibshirani 2023, "Conformal PID control for time series
    prediction", arXiv:2307.16895.
    """

    def __init__(self, model: SeriesForecaster) -> None:
        levels = np.array(model.levels)
        self.middle = anchor(model.levels)
        self.start = model.widths.double().cpu().numpy()  # (H, Q)
        self.beyond = np.where(np.arange(len(levels)) > self.middle, 1 - levels, levels)  # how often values are further
        self.series: int | None = None

    def __call__(self, series: Integers, origins: Integers, quantiles: Floats, truth: Floats) -> Floats:
        """The quantiles (B, H, Q) of B forecasts, moved.

        The futures of the forecasts begin at the steps `origins` (B,) of their `series` (B,), and are `truth` (B, H),
        NaN where a value is missing. Those of a series come one after the other, in this call and from call to call.
        """
        distance = quantiles - quantiles[..., self.middle, None]
        error = truth[..., None] - quantiles[..., self.middle, None]
        scores = np.divide(error, distance, out=np.full_like(distance, np.nan), where=distance != 0)
        widths = np.stack([self._step(*row) for row in zip(series.tolist(), origins.tolist(), scores, strict=True)])
        return widened(torch.from_numpy(quantiles), torch.from_numpy(widths), self.middle).numpy()

    def _step(self, series: int, origin: int, scores: Floats) -> Floats:
        """The widths (H, Q) of the forecast from `origin`, whose scores (H, Q) are kept until they are known."""
        H = len(self.start)
        if series != self.series:
            self.series, self.widths, self.known = series, self.start.copy(), origin
            self.kept, self.made = np.full((H, *self.start.shape), np.nan), np.full(H, -1)
        for now in range(self.known, origin):  # the value of this step has become known
            made = now - np.arange(H)  # the forecasts that told it, each so many steps before
            found = self.kept[made % H, np.arange(H)]  # (H, Q)
            there = (self.made[made % H] == made)[:, None] & ~np.isnan(found)
            moved = self.widths * np.exp(RATE * ((found > self.widths) - self.beyond))
            self.widths = np.where(there, moved, self.widths)
        self.known = origin
        self.kept[origin % H], self.made[origin % H] = scores, origin
        return self.widths
