"""The season of series whose calendar has none, such as yearly numbers: where their changes repeat themselves."""

from __future__ import annotations

import numpy as np

from elman.data.panel import Floats, Panel
from elman.data.timestamps import Integers

LEAST, DEVIATIONS = 0.3, 4  # of an autocorrelation: at least, and at least so many deviations from that of noise
MOST_SERIES = 100  # that are measured, evenly spread
CYCLES = 3  # that a series has at least


def find_season(panel: Panel, until: Integers) -> int:
    """The lag at which the changes before the steps `until` (N,) are most alike, or 1 where they are not.

    It is the highest peak of the mean autocorrelation of the changes from one step to the next: changes, because the
    values of a series that wanders are alike at all short lags.
    """
    chosen = np.arange(len(panel))[:: -(-len(panel) // MOST_SERIES)]
    changes = [np.diff(panel.series(n)[: until[n]]) for n in chosen]
    longest = int(until[chosen].max()) // CYCLES
    found = np.array([autocorrelation(values, longest) for values in changes])
    there = ~np.isnan(found)
    total, count = np.where(there, found, 0.0).sum(0), there.sum(0)
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)  # by lag, from 0
    bound = max(LEAST, DEVIATIONS / max(sum(map(len, changes)), 1) ** 0.5)
    peaks = [lag for lag in range(2, longest) if mean[lag] == mean[lag - 1 : lag + 2].max() and mean[lag] >= bound]
    return max(peaks, key=mean.__getitem__, default=1)


def autocorrelation(values: Floats, longest: int) -> Floats:
    """Of one series (T,), at the lags 0 to `longest`; NaN where it is constant or too short."""
    made = np.full(longest + 1, np.nan)
    there = ~np.isnan(values)
    if not there.any():
        return made
    centred = np.where(there, values - values[there].mean(), 0.0)
    power = float(centred @ centred)
    for lag in range(min(longest, (len(values) + 1) // CYCLES) + 1 if power else 0):
        made[lag] = centred[lag:] @ centred[: len(centred) - lag] / power  # of `CYCLES` lags at least
    return made
