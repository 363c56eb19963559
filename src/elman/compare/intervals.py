"""95 % intervals: over seeds where there are several, else over the validation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

# Quantiles 0.975 of Student's t, for 1, 2, ... 30 degrees of freedom; beyond, the last is a little too wide.
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
RESAMPLES = 2000

Over = Literal["seeds", "blocks"]


@dataclass(frozen=True)
class Interval:
    """A number and the ends of its 95 % interval."""

    middle: float
    low: float
    high: float
    over: Over

    @property
    def holds_zero(self) -> bool:
        """Whether the sign is not known."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Blocks:
    """Losses of one model on the validation set: sums (K,) over blocks of it, one after the other, of targets (K,)."""

    losses: npt.NDArray[np.float64]
    targets: npt.NDArray[np.float64]

    @property
    def loss(self) -> float:
        """The mean over all targets."""
        return float(self.losses.sum() / self.targets.sum())


def over_seeds(values: Sequence[float]) -> Interval:
    """Of a mean: Student's.

    >>> over_seeds([1.0, 2.0, 3.0])
    Interval(middle=2.0, low=-0.484..., high=4.484..., over='seeds')
    """
    mean, error = float(np.mean(values)), _squared_error(values) ** 0.5
    half = _student(len(values) - 1) * error
    return Interval(mean, mean - half, mean + half, "seeds")


def difference_over_seeds(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Of a difference of means, first − second: Welch's (1947), which does not take the variances for equal."""
    a, b = _squared_error(first), _squared_error(second)
    freedom = 1.0
    if a + b > 0:
        freedom = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    middle, half = float(np.mean(first) - np.mean(second)), _student(freedom) * (a + b) ** 0.5
    return Interval(middle, middle - half, middle + half, "seeds")


def over_blocks(blocks: Blocks, seed: int = 0) -> Interval:
    """Of the loss, over data like those that were validated on: a bootstrap over their blocks (Efron 1979)."""
    return _bootstrap(blocks.losses, blocks.targets, seed)


def difference_over_blocks(first: Blocks, second: Blocks, seed: int = 0) -> Interval:
    """Of a difference of losses, first − second: both models read the same blocks, so these are drawn in pairs."""
    assert np.array_equal(first.targets, second.targets)
    return _bootstrap(first.losses - second.losses, first.targets, seed)


def _bootstrap(losses: npt.NDArray[np.float64], targets: npt.NDArray[np.float64], seed: int) -> Interval:
    K = len(losses)
    drawn = np.random.default_rng(seed).multinomial(K, np.full(K, 1 / K), size=RESAMPLES)  # (R, K)
    low, high = np.quantile((drawn @ losses) / (drawn @ targets), (0.025, 0.975))
    return Interval(float(losses.sum() / targets.sum()), float(low), float(high), "blocks")


def _squared_error(values: Sequence[float]) -> float:
    """Of the mean."""
    return float(np.var(values, ddof=1) / len(values))


def _student(freedom: float) -> float:
    return STUDENT[min(max(int(freedom), 1), len(STUDENT)) - 1]
