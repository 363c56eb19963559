"""Channels of series on one scale: mean 0 and deviation 1 over the training part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.data.timeseries import Series
from elman.reading import Unreadable, read_json


@dataclass(frozen=True)
class ChannelScaler:
    """The mean and the deviation of each of D channels; `missing` says whether the training part lacks values.

    A channel that is constant in the training part has the deviation 1, and one without any value the mean 0 too.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    missing: bool = False

    @property
    def channels(self) -> int:
        """D."""
        return len(self.mean)

    def scale(self, series: Series) -> npt.NDArray[np.float32]:
        """A series (T, D) with each channel standardised; NaN stays NaN."""
        return ((series - self.mean) / self.deviation).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Everything that the scaler is made from."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> ChannelScaler:
        """The inverse of `to_json`, from a file. Raises `UserError` where it is missing or damaged."""
        scaler = read_json(path, cls)
        sound = all(map(math.isfinite, scaler.mean)) and all(0 < each < math.inf for each in scaler.deviation)
        if not sound or not 0 < len(scaler.mean) == len(scaler.deviation):
            raise Unreadable(f"{path} is damaged (no scale for each channel)")
        return scaler


def fit_scaler(series: Sequence[Series]) -> ChannelScaler:
    """The scaler of the series of a training part, each (T, D); values that are missing count nowhere."""
    steps = np.concatenate(series)  # (all T, D)
    there = ~np.isnan(steps)
    counts = np.maximum(there.sum(0), 1)
    mean = np.where(there, steps, 0).sum(0) / counts
    deviation = np.sqrt((np.where(there, steps - mean, 0) ** 2).sum(0) / counts)
    # Values that are all equal have a deviation of rounding errors.
    constant = deviation <= 1e-12 * np.abs(mean)
    return ChannelScaler(tuple(mean.tolist()), tuple(np.where(constant, 1.0, deviation).tolist()), not there.all())
