"""A forecaster: the steps after the end of a series, with quantiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from elman_runner.errors import RunnerError
from elman_runner.folder import Folder
from elman_runner.reading import take
from elman_runner.tracking import tracked

Floats = npt.NDArray[np.float64]

TRACKED = 256  # forecasts before the end of a series, whose errors say how wide its intervals are
FARTHEST = 1e9  # deviations from the mean
LARGEST = 1e100  # value


class Forecast(NamedTuple):
    """The steps to come: means (H,), quantiles (H, Q) at the model's `levels`, and the deviation of the series."""

    mean: Floats
    quantiles: Floats
    deviation: float


class Forecaster:
    """Forecasts of series, each by itself."""

    def __init__(self, folder: Folder) -> None:
        self.graph = folder.graph()
        self.past_steps: int = folder.told("past_steps", int)
        self.horizon: int = folder.told("horizon", int)
        self.levels = np.array(folder.told("levels", list[float]), np.float64)
        self.middle: int = folder.told("middle", int)
        self.widths = np.array(folder.told("widths", list[list[float]]), np.float64)
        columns = folder.told("columns", dict)
        self.past: list[str] = take(columns, "past", list[str], folder.place)
        self.future: list[str] = take(columns, "future", list[str], folder.place)
        self.static: list[dict[str, Any]] = take(columns, "static", list[dict[str, Any]], folder.place)
        where = f"{folder.path / 'scaler.json'}"
        self.scales: dict[str, list[float]] = take(folder.codec("scaler"), "scales", dict[str, list[float]], where)
        self._places = {name: place for place, name in enumerate(self.scales, 1)}
        shape = (self.horizon, len(self.levels))
        if self.widths.shape != shape or not 0 <= self.middle < shape[1] or self.past_steps < 1:
            raise RunnerError(f"{folder.place} is damaged (expected widths of shape {shape})")
        if not {"forecast", "quantiles"} <= set(self.graph.outputs):
            what = "expected a forecaster of quantiles, got one of a distribution, which elman alone runs"
            raise RunnerError(f"{folder.path}: {what}; train one with --set distribution=quantiles --set form=direct")

    def forecast(
        self,
        values: Sequence[float | None],
        *,
        id: str = "",
        columns: Mapping[str, Sequence[float | None]] | None = None,
        static: Mapping[str, Any] | None = None,
    ) -> Forecast:
        """The steps after the last value.

        values: of one series, in order; None or NaN where one is missing.
        id: that of a series of the training, which has its own scale; another one is measured here.
        columns: of the same steps, by name; those known ahead go on for the horizon.
        static: what holds for the whole series, by name.
        """
        y = _numbers(values, "values")
        there = np.flatnonzero(~np.isnan(y))
        if not len(there):
            raise RunnerError("values: expected a number or more, got none")
        first, end = int(there[0]), int(there[-1]) + 1
        mean, deviation = self._scale(id, y[first:end])
        z = np.clip((y - mean) / (deviation or 1.0), -FARTHEST, FARTHEST)
        steps = [z[:end], *(self._column(columns, name, end)[:end] for name in (*self.past, *self.future))]
        ahead = np.array([self._column(columns, name, end + self.horizon) for name in self.future])
        origins = np.arange(max(first + self.past_steps, end - TRACKED), end + 1)
        begins = origins - self.past_steps if len(origins) else np.array([first])
        origins = origins if len(origins) else np.array([end])
        feeds = self._feeds(np.stack(steps, 1), begins, origins, ahead, id, static)
        made, quantiles = self.graph(feeds, ["forecast", "quantiles"])
        padded = np.concatenate([z[:end], np.full(self.horizon, np.nan)])
        truth = np.stack([padded[origin : origin + self.horizon] for origin in origins])
        moved = tracked(quantiles.astype(np.float64), truth, self.widths, self.levels, self.middle)
        return Forecast(mean + deviation * made[-1, :, 0].astype(np.float64), mean + deviation * moved, deviation)

    def _feeds(
        self, steps: Floats, begins: Any, origins: Any, ahead: Floats, id: str, static: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The inputs of the graph for windows of equal lengths; values are standardised already."""
        B = len(origins)
        values = np.stack([steps[begin:origin] for begin, origin in zip(begins, origins, strict=True)])
        feeds = {"values": values, "mean": np.zeros(B), "deviation": np.ones(B)}
        if len(ahead):
            feeds["future_values"] = np.stack([ahead[:, origin : origin + self.horizon].T for origin in origins])
        if self.static:
            feeds["static"] = np.tile(self._static(static or {}), (B, 1))
        made: dict[str, Any] = {name: each.astype(np.float32) for name, each in feeds.items()}
        made["identity"] = np.full(B, self._places.get(id, 0), np.int64)
        return {name: each for name, each in made.items() if name in self.graph.inputs}

    def _scale(self, id: str, values: Floats) -> tuple[float, float]:
        known = self.scales.get(id)
        if known is not None and len(known) == 3 and known[1] > 0:
            return known[0], known[1]
        there = values[~np.isnan(values)]
        if there.min() == there.max():
            return float(there[0]), 0.0
        return float(there.mean()), float(there.std())

    def _column(self, columns: Mapping[str, Any] | None, name: str, length: int) -> Floats:
        found = _numbers((columns or {}).get(name), name)
        if len(found) < length:
            raise RunnerError(f"{name}: expected {length} steps, got {len(found)}")
        return found[:length]

    def _static(self, static: Mapping[str, Any]) -> Floats:
        numbers: list[float] = []
        for column in self.static:
            name, words = f"{column.get('name')}", column.get("words")
            if name not in static:
                raise RunnerError(f"static: expected {name!r}")
            cell = static[name]
            numbers += [str(cell) == word for word in words] if words else _numbers([cell], f"{name}").tolist()
        return np.array(numbers, np.float64)


def _numbers(cells: Any, name: str) -> Floats:
    try:
        found = np.array([math.nan if cell is None else float(cell) for cell in cells], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise RunnerError(f"{name}: expected a list of numbers, got {cells!r:.40}") from None
    if (np.abs(found) > LARGEST).any():
        raise RunnerError(f"{name}: expected numbers of at most {LARGEST:g}")
    return found
