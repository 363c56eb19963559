"""Windows of time series: a stretch of the past, and the steps of the horizon after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.data.epoch_batches import EpochBatches
from elman.data.panel import Panel
from elman.data.series_scaler import Scales, SeriesScaler, Standardised
from elman.data.timestamps import Integers
from elman.distributed import ALONE, Ranks


class WindowBatch(NamedTuple):
    """B windows, standardised; NaN is a missing value, or none because the series has no such step.

    The steps of a row begin at its left: the newest value of row b is `past[b, lengths[b] - 1]`. Values are
    `mean + deviation * standardised`; a deviation of 0 is that of a series that was constant in training.
    """

    past: Tensor  # (B, L)
    future: Tensor  # (B, H); what is NaN is not scored
    lengths: Tensor  # (B,) int64, from 1 to L
    past_exogenous: Tensor  # (B, L, P + F)
    future_exogenous: Tensor  # (B, H, F)
    static: Tensor  # (B, C)
    mean: Tensor  # (B,)
    deviation: Tensor  # (B,)
    series: Tensor  # (B,) int64: the series' place in the panel
    identity: Tensor  # (B,) int64: the series' place among those of the training, from 1; 0 for any other

    def to(self, device: torch.device) -> WindowBatch:
        """The batch on a device."""
        return WindowBatch(*(part.to(device) for part in self))


@dataclass(frozen=True)
class Windows:
    """W windows of a panel. Window w is of the series `series[w]`; its future begins at the step `origins[w]`.

    Values at the steps `ends` (N,) of the series and after them belong to another part: they are seen as missing.
    """

    panel: Panel
    scales: Scales
    standardised: Standardised
    window: int  # steps of the past, L
    horizon: int  # steps of the future, H
    ends: Integers  # (N,)
    series: Integers  # (W,)
    origins: Integers  # (W,)

    def __len__(self) -> int:
        return len(self.series)

    @property
    def targets(self) -> int:
        """The values of the futures that are not missing, each counted in every window that has it."""
        return int(self._count(self.origins, np.minimum(self.origins + self.horizon, self.ends[self.series])).sum())

    def batch(self, rows: Integers) -> WindowBatch:
        """The windows at `rows` (B,)."""
        series, origins = self.series[rows], self.origins[rows]
        first, scaled = self.panel.bounds[series], self.standardised
        lengths = np.minimum(origins, self.window)
        past = np.arange(self.window) + (first + origins - lengths)[:, None]  # (B, L)
        future = np.arange(self.horizon) + (first + origins)[:, None]  # (B, H)
        begun = np.arange(self.window) < lengths[:, None]
        unended = future < (first + self.ends[series])[:, None]
        within = future < self.panel.bounds[series + 1][:, None]
        arrays: tuple[np.ndarray[Any, Any], ...] = (
            _gather(scaled.values, past, begun),
            _gather(scaled.values, future, unended),
            lengths,
            _gather(scaled.past, past, begun),
            _gather(scaled.future, future, within),
            scaled.static[series],
            self.scales.mean[series].astype(np.float32),
            self.scales.deviation[series].astype(np.float32),
            series,
            scaled.identity[series],
        )
        return WindowBatch(*map(torch.from_numpy, arrays))

    def truth(self, rows: Integers) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The values (B, H) of the futures in the units of the data."""
        series = self.series[rows]
        first = self.panel.bounds[series]
        future = np.arange(self.horizon) + (first + self.origins[rows])[:, None]
        return _gather(self.panel.values, future, future < (first + self.ends[series])[:, None])

    def thinned(self, most: int) -> Windows:
        """At most so many of the windows, evenly spread."""
        if len(self) <= most:
            return self
        kept = self.spread(most)
        return replace(self, series=self.series[kept], origins=self.origins[kept])

    def spread(self, most: int) -> Integers:
        """The rows of at most so many windows, evenly spread."""
        fewer = min(most, len(self))
        return np.arange(fewer) * len(self) // max(fewer, 1)

    def observed(self) -> Windows:
        """The windows with a value in the past and one in the future."""
        past = self._count(np.maximum(self.origins - self.window, 0), self.origins)
        future = self._count(self.origins, np.minimum(self.origins + self.horizon, self.ends[self.series]))
        kept = np.flatnonzero((past > 0) & (future > 0))
        return replace(self, series=self.series[kept], origins=self.origins[kept])

    def _count(self, begin: Integers, end: Integers) -> Integers:
        """How many values are there between two steps of each window."""
        sums = np.concatenate([[0], np.cumsum(~np.isnan(self.panel.values))])
        first = self.panel.bounds[self.series]
        return sums[first + end] - sums[first + begin]


def training_windows(panel: Panel, scaler: SeriesScaler, ends: Integers, window: int, horizon: int) -> Windows:
    """Every window before the steps `ends` (N,) that has a value to learn from.

    Those of a series that is shorter than one window and one horizon have what there is of the past.
    """
    first = np.where(ends >= window + horizon, window, 1)
    return _windows(panel, scaler, ends, window, horizon, first, ends).observed()


def backtest_windows(
    panel: Panel,
    scaler: SeriesScaler,
    window: int,
    horizon: int,
    *,
    begin: Integers | None = None,
    step: int = 1,
    last: int | None = None,
) -> Windows:
    """The windows of a backtest: the first has the first `window` steps of its series as its past.

    With `begin` (N,) the futures begin there; a series whose `begin` is not before its end has none. A series without
    a whole past and a whole horizon has one window of what there is. Windows are `step` steps apart; with `last` there
    are so many of each series, counted from its end.
    """
    ends = panel.lengths
    first = np.maximum(np.minimum(window, ends - horizon), 1) if begin is None else begin
    until = first if begin is None else begin
    return _windows(panel, scaler, ends, window, horizon, first, until, step, last)


def last_windows(panel: Panel, scaler: SeriesScaler, window: int, horizon: int, before: int = 0) -> Windows:
    """A window at the end of each series, whose future is not known yet, and so many that end `before` it, if whole."""
    scales = scaler.of(panel, panel.lengths)
    made = scaler.standardise(panel, scales)
    ends = [(end, min(max(end - before, window), end)) for end in panel.lengths.tolist()]
    origins = [np.arange(first, end + 1) for end, first in ends]
    series = np.arange(len(panel)).repeat([len(found) for found in origins])
    joined = np.concatenate([np.zeros(0, np.int64), *origins])
    return Windows(panel, scales, made, window, horizon, panel.lengths, series, joined)


def _windows(
    panel: Panel,
    scaler: SeriesScaler,
    ends: Integers,
    window: int,
    horizon: int,
    first: Integers,
    until: Integers,
    step: int = 1,
    last: int | None = None,
) -> Windows:
    scales = scaler.of(panel, until)
    origins = []
    for begin, end in zip(first.tolist(), ends.tolist(), strict=True):
        newest = max(end - horizon, begin)  # a short future where the series ends before the horizon
        found = np.arange(begin, newest + 1, step) if last is None else np.arange(newest, begin - 1, -step)[:last][::-1]
        origins.append(found[: max(end - begin, 0)])  # none where no step is left for the future
    series = np.arange(len(panel)).repeat([len(found) for found in origins])
    joined = np.concatenate([np.zeros(0, np.int64), *origins]).astype(np.int64)
    return Windows(panel, scales, scaler.standardise(panel, scales), window, horizon, ends, series, joined)


class WindowBatches(EpochBatches[WindowBatch]):
    """Windows in batches of `batch_size`, of which the last may be fewer."""

    def __init__(self, windows: Windows, batch_size: int, seed: int = 0) -> None:
        assert batch_size > 0
        super().__init__(seed)
        self.windows, self.batch_size = windows, batch_size

    def _cut(self, epoch: int, rng: np.random.Generator) -> list[Integers]:
        order = rng.permutation(len(self.windows))
        return [order[begin : begin + self.batch_size] for begin in range(0, len(order), self.batch_size)]

    def _batch(self, rows: Integers) -> WindowBatch:
        return self.windows.batch(rows)


def evaluation_batches(
    windows: Windows, batch_size: int, ranks: Ranks = ALONE
) -> Iterator[tuple[Integers, WindowBatch]]:
    """Every window once on one rank, in order: the rows (B,) of a batch's windows, and the batch."""
    for begin in ranks.mine(range(0, len(windows), batch_size)):
        rows = np.arange(begin, min(begin + batch_size, len(windows)))
        yield rows, windows.batch(rows)


def _gather(values: Any, at: Integers, there: Any) -> Any:
    """The values at places, NaN where there are none."""
    if not len(values):
        return np.full((*at.shape, *values.shape[1:]), np.nan, values.dtype)
    found = values[np.minimum(at, len(values) - 1)]
    found[~there] = np.nan
    return found
