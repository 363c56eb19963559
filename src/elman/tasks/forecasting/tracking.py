"""Intervals that follow the errors of a series as they become known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from elman.data.panel import Floats
from elman.data.timestamps import Integers
from elman.models.conformal import widened
from elman.models.forecaster import SeriesForecaster
from elman.models.likelihoods import anchor

RATE = 0.02  # of a value that becomes known: about so many parts of a width
AT_ONCE = 1 << 20  # scores that are looked up together
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
        place, last = np.arange(len(first)).repeat(counts), np.cumsum(counts) - 1
        told = _Told(place, origins, scores)
        widths = self._moved(now, known, origins[last], told, place[old:], origins[old:])
        kept = np.arange(last[-1] + 1 - counts[-1], len(origins))[-len(self.start) :]  # no value is told by older ones
        self.newest = _Series(int(series[-1]), now[-1], int(origins[-1]), origins[kept], scores[kept])
        return widths

    def _moved(
        self, now: Floats, known: Integers, until: Integers, told: _Told, place: Integers, origins: Integers
    ) -> Floats:
        """The widths (B, H, Q) at the `origins` (B,) of the series that are counted in `place` (B,).

        The widths `now` (N, H, Q), which know no value from the steps `known` (N,) on, come to know those before the
        steps `until` (N,): step by step, the series side by side.
        """
        widths = np.empty((len(place), *self.start.shape))
        order = np.argsort(known - until, kind="stable")  # those that go on longest first
        rank, lengths = np.argsort(order), (until - known)[order]
        going = np.searchsorted(-lengths, -np.arange(lengths[0] + 1))  # how many series go on after so many steps
        after = origins - known[place]  # (B,): a forecast's widths know so many steps
        rows = np.argsort(after, kind="stable")
        border = np.searchsorted(after[rows], np.arange(lengths[0] + 2))
        moving, source = now[order], rank[place][rows]
        up, down = (np.exp(RATE * (is_beyond - self.beyond)) for is_beyond in (1, 0))
        steps = told.steps(order, known[order], going)
        for (begin, end), count in zip(pairwise(border.tolist()), going.tolist(), strict=True):
            widths[begin:end] = moving[source[begin:end]]
            if count:
                scores, here = next(steps)[:count], moving[:count]
                here *= np.where(scores > (1 + TIE) * here, up, np.where(np.isnan(scores), 1, down))
        now[:] = moving[rank]
        return widths[np.argsort(rows)]


class _Series(NamedTuple):
    """A series whose forecasts may go on: its widths (H, Q), the first step that is not known yet, its forecasts."""

    series: int
    widths: Floats
    known: int
    origins: Integers  # (K,)
    scores: Floats  # (K, H, Q)


class _Told:
    """What values tell of forecasts (B,) with scores (B, H, Q), by their series, counted from 0, and their origins."""

    def __init__(self, series: Integers, origins: Integers, scores: Floats) -> None:
        self.scores, self.horizon = scores, np.arange(scores.shape[1])
        self.span = int(origins.max()) + 2 * len(self.horizon)
        self.keys = series * self.span + origins + len(self.horizon)

    def steps(self, series: Integers, known: Integers, going: Integers) -> Iterator[Floats]:
        """Of the step `known` (N,) of each series, and of each step after it, what its value tells.

        That are the scores (n, H, Q) of the forecasts made h steps before, NaN where there is none; of the first n
        series, which are at least `going[step]`, as long as some go on.
        """
        step = 0
        while step < len(going) and (count := int(going[step])):
            together = max(1, AT_ONCE // (count * self.scores[0].size))
            several = np.arange(step, min(step + together, len(going) - 1))
            times = known[:count] + several[:, None]  # (S, n)
            keys = (series[:count] * self.span + times + len(self.horizon))[..., None] - self.horizon
            at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            yield from np.where((self.keys[at] == keys)[..., None], self.scores[at, self.horizon], np.nan)
            step += len(several)
