"""Intervals that follow the errors of a series: the quantile tracking of `elman predict`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RATE = 0.02  # of a value that becomes known: about so many parts of a width
TIE = 1e-5  # a width begins as one of the scores: by rounding alone, none is beyond it


def tracked(quantiles: Floats, truth: Floats, start: Floats, levels: Floats, middle: int) -> Floats:
    """The quantiles (H, Q) of the last of N forecasts, moved by the errors of the ones before.

    quantiles (N, H, Q), whose origins are one step apart, and truth (N, H), NaN where a value is missing or not known
    yet. The widths begin as `start` (H, Q). Whenever a value becomes known, the width of each step h and level p is
    moved by the score s of the forecast made h steps before: w ← w exp(0.02 (1[s > w] − (1 − p))), below the middle
    with 1 − p for p.
    """
    N, H, Q = quantiles.shape
    centre = quantiles[..., middle, None]
    distance = quantiles - centre
    scores = np.divide(truth[..., None] - centre, distance, out=np.full_like(distance, np.nan), where=distance != 0)
    beyond = np.where(np.arange(Q) > middle, 1 - levels, levels)
    now = start.copy()
    for known in range(N - 1):  # the value that the forecast number `known` has first becomes known
        for h in range(min(known + 1, H)):
            score = scores[known - h, h]
            moved = now[h] * np.exp(RATE * ((score > (1 + TIE) * now[h]) - beyond))
            now[h] = np.where(np.isnan(score), now[h], moved)
    return widened(quantiles[-1], now, middle)


def widened(quantiles: Floats, widths: Floats, middle: int) -> Floats:
    """Quantiles (H, Q), each at `widths` (H, Q) times its distance from the middle one; none passes another."""
    moved = quantiles[:, middle, None] + widths * (quantiles - quantiles[:, middle, None])
    below = np.minimum.accumulate(moved[:, middle::-1], axis=1)[:, ::-1]
    return np.concatenate([below[:, :-1], np.maximum.accumulate(moved[:, middle:], axis=1)], axis=1)
