"""Forecasts that are made again and again while a series grows: a window that was read before is not read anew."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt
import torch

from elman.data.panel import Floats
from elman.data.windows import WindowBatch
from elman.models.forecaster import SeriesForecaster

BYTES = 64_000_000  # of all windows and forecasts that are kept
OVERHEAD = 250  # bytes of objects for each

Bytes = npt.NDArray[np.uint8]


def forecast_windows(model: SeriesForecaster, batch: WindowBatch) -> tuple[Floats, Floats]:
    """Means (B, H) and quantiles (B, H, Q) as the model learnt them, in the units of the windows."""
    made = model.forecast(batch.to(next(model.parameters()).device), calibrated=False)
    return made.mean.double().cpu().numpy(), made.quantiles.double().cpu().numpy()


class ForecastCache:
    """What `forecast_windows` gives, kept by all that the model read of a window; the least recently used goes first.

    Args:
        model: whose forecasts they are.
        size: how many bytes are kept at most.
    """

    def __init__(self, model: SeriesForecaster, size: int = BYTES) -> None:
        self.model, self.size = model, size
        self._made: OrderedDict[bytes, Floats] = OrderedDict()  # (H, 1 + Q) by the bytes of a window
        self._bytes = 0

    def __call__(self, batch: WindowBatch, lasting: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Means (B, H) and quantiles (B, H, Q); those of windows that are `lasting` (B,) are kept."""
        keys = [key.tobytes() if lasts else b"" for key, lasts in zip(_read_of(batch), lasting, strict=True)]
        new = [row for row, key in enumerate(keys) if key not in self._made]
        made = np.empty((len(keys), self.model.horizon, 1 + len(self.model.levels)))
        for row, key in enumerate(keys):
            if key in self._made:
                made[row] = self._made[key]
                self._made.move_to_end(key)
        if new:
            rows = torch.tensor(new)
            mean, quantiles = forecast_windows(self.model, WindowBatch(*(part[rows] for part in batch)))
            made[new] = np.concatenate((mean[..., None], quantiles), axis=2)
        for row in new:
            if keys[row]:
                self._keep(keys[row], made[row].astype(np.float32))
        return made[..., 0], made[..., 1:]

    def _keep(self, key: bytes, made: Floats) -> None:
        if key not in self._made:
            self._bytes += len(key) + made.nbytes + OVERHEAD
        self._made[key] = made
        while self._bytes > self.size:
            key, made = self._made.popitem(last=False)
            self._bytes -= len(key) + made.nbytes + OVERHEAD


def _read_of(batch: WindowBatch) -> Bytes:
    """All that a model reads of each window, as bytes (B, ·): neither its future nor where it lies."""
    read = batch._replace(future=batch.past[:, :0], series=batch.lengths)
    parts = [np.ascontiguousarray(part.numpy()).reshape(len(batch.past), -1) for part in read]
    return np.concatenate([part.view(np.uint8) for part in parts], axis=1)
