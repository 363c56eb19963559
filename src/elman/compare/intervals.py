"""95 % intervals of losses and scores: over seeds where there are several, else over blocks of the validation set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from elman.arrays import Floats
from elman.metrics.sums import LEAST, ratio, score_of_all

# Quantiles 0.975 of Student's t for 1, 2, ... 30 degrees of freedom; the last stands for more, and is a little wide.
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A number and the ends of its 95 % interval.

    >>> Interval(0.02, low=-0.01, high=0.05, over="seeds").holds_zero
    True
    """

    middle: float
    low: float
    high: float
    over: Literal["seeds", "blocks"]

    @property
    def holds_zero(self) -> bool:
        """Whether the sign of the number is left open."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Blocks:
    """Losses (K,) of a model, summed over the targets (K,) of each of K successive blocks of the validation set.

    >>> Blocks(losses=np.array([150.0, 90.0]), targets=np.array([100.0, 60.0])).value
    1.5
    """

    losses: Floats
    targets: Floats

    @property
    def value(self) -> float:
        """The mean over all targets."""
        return float(self.losses.sum() / max(self.targets.sum(), LEAST))

    def resampled(self) -> Floats:
        """The means (R,) of blocks that are drawn with replacement, the same ones for every model (Efron 1979)."""
        return Sums(np.column_stack((self.losses, self.targets)), ratio).resampled()


@dataclass(frozen=True)
class Sums:
    """What each of K successive blocks of the validation set adds (K, P) to the sums that a score is made of.

    `score` makes the values (R,) of the score of sums (R, P).

    >>> Sums(np.array([[2.0, 4.0], [1.0, 2.0]]), score=ratio).value
    0.5
    """

    terms: Floats
    score: Callable[[Floats], Floats]

    @property
    def value(self) -> float:
        """The score of all blocks."""
        return score_of_all(self.terms, self.score)

    def resampled(self) -> Floats:
        """The scores (R,) of blocks that are drawn with replacement, the same ones for every model."""
        K = len(self.terms)
        drawn = np.random.default_rng(0).multinomial(K, np.full(K, 1 / K), size=RESAMPLES)  # (R, K)
        return self.score(drawn @ self.terms)


def over_seeds(values: Sequence[float]) -> Interval:
    """Student's interval of the mean of a value that every seed has.

    >>> over_seeds([1.0, 2.0, 3.0])
    Interval(middle=2.0, low=-0.484..., high=4.484..., over='seeds')
    """
    return _student(float(np.mean(values)), _squared_error(values), len(values) - 1)


def over_curves(curves: Sequence[Floats]) -> tuple[Floats, Floats, Floats, Floats]:
    """The mean (P,) of curves that seeds have, each (2, N) of places and values, and the ends of its 95 % intervals.

    The places (P,) are those of the shortest curve that all curves reach; between its own places a curve is straight.
    Points alone, which lie at a place of their own each, have one mean, at their mean place.
    One curve alone has no interval: its ends are NaN.

    >>> seeds = [np.array([[0.0, 2.0], [1.0, 3.0]]), np.array([[0.0, 1.0, 2.0], [2.0, 2.0, 2.0]])]
    >>> x, mean, low, high = over_curves(seeds)
    >>> x.tolist(), mean.tolist()
    ([0.0, 2.0], [1.5, 2.5])
    """
    begin, end = max(curve[0, 0] for curve in curves), min(curve[0, -1] for curve in curves)
    x = min((curve[0] for curve in curves), key=len)
    x = x[(x >= begin) & (x <= end)]
    if all(curve.shape[1] == 1 for curve in curves):
        x = np.mean([curve[0] for curve in curves], axis=0)
    values = np.stack([np.interp(x, *curve) for curve in curves])  # (seeds, P)
    if len(curves) == 1:
        nothing = np.full(len(x), np.nan)
        return x, values[0], nothing, nothing
    every = [over_seeds(at.tolist()) for at in values.T]
    mean, low, high = (np.array([getattr(one, end) for one in every]) for end in ("middle", "low", "high"))
    return x, mean, low, high


def difference_over_seeds(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Welch's interval (1947) of the difference of two means, first − second, whose variances may differ.

    >>> gap = difference_over_seeds([1.50, 1.52, 1.49], [1.46, 1.45, 1.47])
    >>> round(gap.middle, 3), gap.holds_zero
    (0.043, False)
    """
    a, b = _squared_error(first), _squared_error(second)
    freedom = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1)) if a + b > 0 else 1.0
    return _student(float(np.mean(first) - np.mean(second)), a + b, freedom)


def over_blocks(blocks: Blocks | Sums) -> Interval:
    """The interval of a loss or a score over data like the validation set: a bootstrap over its blocks (Efron 1979).

    >>> losses = np.random.default_rng(1).normal(150, 15, size=50)  # of 100 targets each
    >>> interval = over_blocks(Blocks(losses, np.full(50, 100.0)))
    >>> interval.low < interval.middle < interval.high
    True
    """
    return _between(blocks.value, blocks.resampled())


def difference_over_blocks(first: Blocks | Sums, second: Blocks | Sums) -> Interval:
    """The interval of a difference of losses or scores, first − second; both models read the same blocks, in pairs.

    >>> hard = np.random.default_rng(1).normal(150, 15, size=50)  # some blocks are harder than others, for both models
    >>> first, second = Blocks(hard + 2, np.full(50, 100.0)), Blocks(hard, np.full(50, 100.0))
    >>> gap = difference_over_blocks(first, second)
    >>> round(gap.low, 3), round(gap.high, 3)  # read in pairs, the difference is certain
    (0.02, 0.02)
    """
    return _between(first.value - second.value, first.resampled() - second.resampled())


def _between(middle: float, resampled: Floats) -> Interval:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Interval(middle, float(low), float(high), "blocks")


def _squared_error(values: Sequence[float]) -> float:
    """The square of the standard error of the mean."""
    return float(np.var(values, ddof=1) / len(values))


def _student(mean: float, squared_error: float, freedom: float) -> Interval:
    half = STUDENT[min(max(int(freedom), 1), len(STUDENT)) - 1] * squared_error**0.5
    return Interval(mean, mean - half, mean + half, "seeds")
