"""Intervals that follow the errors of a series as they become known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from elman.data.panel import Floats
from elman.data.timestamps import Integers
from elman.models.conformal import widened
from elman.models.forecaster import SeriesForecaster
from elman.models.likelihoods import anchor

RATE = 0.02  # of a value that becomes known: about so many parts of a width
TIE = 1e-5  # a width begins as one of the scores: by rounding alone, none is beyond it


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
        self.newest: _Series | None = None  # which the next call may go on with

    def __call__(self, series: Integers, origins: Integers, quantiles: Floats, truth: Floats) -> Floats:
        """The quantiles (B, H, Q) of B forecasts, moved.

        The futures of the forecasts begin at the steps `origins` (B,) of their `series` (B,), and are `truth` (B, H),
        NaN where a value is missing. Those of a series come one after the other, in this call and from call to call.
        """
        if not len(series):
            return quantiles
        distance = quantiles - quantiles[..., self.middle, None]
        error = truth[..., None] - quantiles[..., self.middle, None]
        scores = np.divide(error, distance, out=np.full_like(distance, np.nan), where=distance != 0)
        widths = self._widths(series, origins, scores)
        return widened(torch.from_numpy(quantiles), torch.from_numpy(widths), self.middle).numpy()

    def _widths(self, series: Integers, origins: Integers, scores: Floats) -> Floats:
        """The widths (B, H, Q) of forecasts whose scores are (B, H, Q); each follows from scores that are known."""
        first = np.flatnonzero(np.diff(series, prepend=-1))  # (N,) of the rows of each series
        counts = np.diff(first, append=len(series))
        now = np.broadcast_to(self.start, (len(first), *self.start.shape)).copy()  # (N, H, Q)
        known = origins[first]  # the first step of each series whose value is not known yet
        old = 0  # forecasts of earlier calls
        if self.newest is not None and self.newest.series == series[0]:
            now[0], known[0], old = self.newest.widths, self.newest.known, len(self.newest.origins)
            origins = np.concatenate([self.newest.origins, origins])
            scores = np.concatenate([self.newest.scores, scores])
        counts[0] += old
        made = _Made(np.arange(len(first)).repeat(counts), origins, scores)
        widths = np.empty_like(scores[old:])
        first[1:] += old
        for at in range(counts.max()):  # the forecasts of different series side by side
            there = np.flatnonzero(counts > at)
            rows = first[there] + at
            there, rows = there[rows >= old], rows[rows >= old]
            for after in range((origins[rows] - known[there]).max(initial=0)):
                become = known[there] + after  # the value of this step has become known
                moving = there[become < origins[rows]]
                found, told = made.before(moving, become[become < origins[rows]])
                moved = now[moving] * np.exp(RATE * ((found > (1 + TIE) * now[moving]) - self.beyond))
                now[moving] = np.where(told, moved, now[moving])
            known[there] = origins[rows]
            widths[rows - old] = now[there]
        kept = np.arange(first[-1], len(origins))[-len(self.start) :]  # no value is told by older ones
        self.newest = _Series(int(series[-1]), now[-1], int(known[-1]), origins[kept], scores[kept])
        return widths


class _Series(NamedTuple):
    """A series whose forecasts may go on: its widths (H, Q), the first step that is not known yet, its forecasts."""

    series: int
    widths: Floats
    known: int
    origins: Integers  # (K,)
    scores: Floats  # (K, H, Q)


class _Made:
    """The scores (B, H, Q) of forecasts by their series (B,), counted from 0, and their origins (B,), in this order."""

    def __init__(self, series: Integers, origins: Integers, scores: Floats) -> None:
        self.scores, self.steps = scores, np.arange(scores.shape[1])
        self.span = int(origins.max()) + 2 * len(self.steps)
        self.keys = series * self.span + origins + len(self.steps)

    def before(self, series: Integers, times: Integers) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The scores (S, H, Q) at the `times` (S,) of each series, of the forecasts made h steps before.

        And where there are such forecasts and scores of them.
        """
        keys = (series * self.span + times + len(self.steps))[:, None] - self.steps
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = self.scores[at, self.steps]
        return found, (self.keys[at] == keys)[..., None] & ~np.isnan(found)
