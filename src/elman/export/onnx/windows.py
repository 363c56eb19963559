"""The window that a forecaster reads: its own units, segments, and further columns of the series."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from elman.arrays import Floats
from elman.data.series_scaler import FARTHEST
from elman.export.onnx.distributions import DataUnits
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.scaling import standardised, with_flags, without_missing
from elman.export.onnx.steps import concat, count, part, real_steps, reshape, row_at, rows_at, total, unsqueeze
from elman.nn.window_normalisation import LEAST_DEVIATION
from elman.tasks.exchange import Trained


class Columns(NamedTuple):
    """The names of a series' further columns; words are those of a static column that is not of numbers."""

    past: list[str]
    future: list[str]
    static: list[tuple[str, list[str] | None]]


def columns(run: Trained) -> Columns:
    """The further columns of a run's series, in the order in which the model reads them."""
    P, K, _ = run.model.channels
    names, words = list(run.scaler.columns), run.scaler.words
    static = words if run.columns.static is None else run.columns.static
    constant = [(name, list(words[name]) if name in words else None) for name in static]
    return Columns(names[:P], names[P : P + K], constant)


def scales(run: Trained, names: list[str]) -> Floats:
    """The mean and the deviation (n, 2) of columns of numbers."""
    return np.array([run.scaler.columns[name] for name in names], np.float64).reshape(-1, 2)


def static_scales(run: Trained) -> Floats:
    """The mean and the deviation (S, 2) of static columns; each word has a column of 0 and 1, which stays as it is."""
    of_words = np.array([[0.0, 1.0]])
    parts = [
        scales(run, [name]) if words is None else of_words.repeat(len(words), 0) for name, words in columns(run).static
    ]
    return np.concatenate([np.zeros((0, 2)), *parts])


class WindowReader:
    """Draws what is read of a window, in the units of the model."""

    def __init__(self, graph: Graph, run: Trained) -> None:
        self.graph, self.run, self.model = graph, run, run.model
        self.columns = columns(run)

    def numbers(self, raw: Value, scale: Floats) -> Value:
        """Columns (…, n) in their scale (n, 2), 0 where a number is missing."""
        return without_missing(raw, _clipped(standardised(raw, *scale.T)))[0]

    def value(self, raw: Value, units: DataUnits) -> Value:
        """Raw values (B, T, 1) in such units, 0 where one is missing, and whether it is missing: (B, T, 2)."""
        return with_flags(raw, (raw - units.location) / units.scale)

    def window(self, raw: Value, series: DataUnits, lengths: Value | None) -> tuple[Value, DataUnits]:
        """Raw values (B, T, 1 + P + K) -> steps (B, T, 2 + P + K) in the units of their window, and those units."""
        graph, model = self.graph, self.model
        value = part(raw, 0, 1)  # (B, T, 1)
        present = graph.add("Not", graph.add("IsNaN", value))
        if lengths is not None:
            present = graph.add("And", present, unsqueeze(real_steps(raw, lengths), 2))
        scaled = _clipped((value - series.location) / series.scale)
        own = NORMALISATIONS[model.normalisation](graph, present.where(scaled, 0.0), present)
        if own is None:
            units = series
        else:
            scaled = (scaled - own.location) / own.scale
            units = DataUnits(series.restore(own.location), series.scale * own.scale)
        steps = [with_flags(value, scaled)]
        if names := self.columns.past + self.columns.future:
            steps.append(self.numbers(part(raw, 1, 1 + len(names)), scales(self.run, names)))
        return concat(graph, steps, 2), units

    def segments(self, steps: Value, lengths: Value | None) -> tuple[Value, Value | None]:
        """Steps (B, T, C) as segments (B, n, w · C), and how many each row has; see `window_tensors.in_segments`."""
        graph, w, (P, K, _) = self.graph, self.model.segment, self.model.channels
        C = 2 + P + K
        if w == 1:
            return steps, lengths
        empty = np.zeros((1, 1, C), np.float32)
        empty[..., 1] = 1  # "missing"
        if lengths is None:  # the first segment begins with what is empty
            before = graph.add("Expand", empty, graph.shape(graph.size(steps, 0), w - 1, C), dtype="float32")
            first = (graph.size(steps, 1) - 1) % w
            filled = graph.add("Slice", concat(graph, [before, steps], 1), first, np.array([1 << 31]), np.array([1]))
            return reshape(filled, graph.size(steps, 0), -1, w * C), None
        T = graph.size(steps, 1)
        whole = (T + (w - 1)) / w * w
        at = unsqueeze(count(graph, whole), 0) - unsqueeze((w - lengths % w) % w, 1)  # (B, n · w)
        there = graph.add("And", at >= 0, at < unsqueeze(lengths, 1))
        found = rows_at(steps, at.maximum(0).minimum(T - 1))
        filled = unsqueeze(there, 2).where(found, graph.weight(empty))
        return reshape(filled, graph.size(steps, 0), -1, w * C), (lengths + (w - 1)) / w


def _clipped(x: Value) -> Value:
    return x.graph.add("Clip", x, np.array(-FARTHEST, np.float32), np.array(FARTHEST, np.float32))


def _last(graph: Graph, values: Value, present: Value) -> DataUnits:
    steps = unsqueeze(count(graph, graph.size(values, 1)), 0, 2)
    newest = graph.add("ReduceMax", present.where(steps, 0), axes=[1, 2], keepdims=0)
    return DataUnits(unsqueeze(row_at(values, newest), 2), graph.weight(np.ones((1, 1, 1), np.float32)))


def _mean(graph: Graph, values: Value, present: Value) -> DataUnits:
    found = total(graph.cast(present, "float32"), 1, keep=True).maximum(1.0)
    mean = total(values, 1, keep=True) / found
    off = present.where(values - mean, 0.0)
    return DataUnits(mean, (total(off * off, 1, keep=True) / found).sqrt().maximum(LEAST_DEVIATION))


def _none(graph: Graph, values: Value, present: Value) -> None:
    return None


NORMALISATIONS: dict[str, Any] = {"last": _last, "mean": _mean, "none": _none}
