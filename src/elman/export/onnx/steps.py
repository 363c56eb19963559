"""What graphs do along time: which steps are real, the last one of each row, sums and places."""

from __future__ import annotations

import numpy as np

from elman.export.onnx.graph import Graph, Value

LEAST = float(np.finfo(np.float32).min)  # stands for −∞, which some runtimes turn into NaN; its exponential is 0 too


def ints(*numbers: int) -> np.ndarray:
    """int64: axes, sizes or places."""
    return np.array(numbers, np.int64)


def unsqueeze(x: Value, *axes: int) -> Value:
    """x with an axis of size 1 at each of these places."""
    return x.graph.add("Unsqueeze", x, ints(*axes))


def squeeze(x: Value, *axes: int) -> Value:
    """x without these axes of size 1."""
    return x.graph.add("Squeeze", x, ints(*axes))


def transpose(x: Value, *order: int) -> Value:
    """x with its axes in this order."""
    return x.graph.add("Transpose", x, perm=list(order))


def reshape(x: Value, *sizes: Value | int) -> Value:
    """x in another shape; a 0 is the size that the axis has."""
    return x.graph.add("Reshape", x, x.graph.shape(*sizes))


def concat(graph: Graph, parts: list[Value], axis: int) -> Value:
    """The parts one behind the other."""
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=axis)


def part(x: Value, begin: int, end: int, axis: int = -1) -> Value:
    """x[begin:end] along an axis."""
    return x.graph.add("Slice", x, ints(begin), ints(end), ints(axis))


def turned(x: Value, axis: int) -> Value:
    """x from its end to its beginning along an axis."""
    return x.graph.add("Slice", x, ints(-1), ints(-(1 << 31)), ints(axis), ints(-1))


def total(x: Value, axis: int, *, keep: bool = False) -> Value:
    """The sum along an axis."""
    return x.graph.add("ReduceSum", x, ints(axis), keepdims=int(keep))


def count(graph: Graph, n: Value) -> Value:
    """0 … n − 1 (n,) int64, for a size (1,)."""
    return graph.add("Range", np.array(0), squeeze(n, 0), np.array(1), dtype="int64")


def real_steps(x: Value, lengths: Value) -> Value:
    """Booleans (B, T) for x (B, T, …): False at the padding behind `lengths` (B,)."""
    steps = count(x.graph, x.graph.size(x, 1))
    return unsqueeze(steps, 0) < unsqueeze(lengths, 1)


def row_at(x: Value, place: Value) -> Value:
    """The vector x[b, place[b]] (B, H) of each row of x (B, T, H)."""
    return x.graph.add("GatherND", x, unsqueeze(place, 1), batch_dims=1)


def last_step(x: Value, lengths: Value | None) -> Value:
    """The last vector (B, H) of each row of x (B, T, H); of padded rows the one before `lengths`, the first of none."""
    if lengths is None:
        return x.graph.add("Gather", x, np.array(-1), axis=1)
    return row_at(x, x.graph.add("Max", lengths - 1, 0))


def rows_at(x: Value, places: Value) -> Value:
    """The vectors x[b, places[b, n]] (B, N, H) of each row of x (B, T, H)."""
    return x.graph.add("GatherND", x, unsqueeze(places, 2), batch_dims=1)


def repeated(x: Value, times: int) -> Value:
    """Each row of x (B, …) so many times, one behind the other: (B · times, …)."""
    graph = x.graph
    sizes = graph.add("Slice", graph.add("Shape", x), ints(1), ints(1 << 31))
    wide = graph.add("Concat", graph.size(x, 0), ints(times), sizes, axis=0, dtype="int64")
    long = graph.add("Concat", ints(-1), sizes, axis=0, dtype="int64")
    return graph.add("Reshape", graph.add("Expand", unsqueeze(x, 1), wide), long)


def padding_bias(x: Value, lengths: Value) -> Value:
    """(B, 1, S) for x (B, S, …), to be added to scores of its steps: 0, and at padding so little that exp gives 0."""
    return unsqueeze(real_steps(x, lengths).where(0.0, LEAST), 1)
