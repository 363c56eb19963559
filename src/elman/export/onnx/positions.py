"""Encodings of positions; see `elman.nn.positions`."""

from __future__ import annotations

import math

import numpy as np

from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.steps import concat, count, part, reshape, unsqueeze
from elman.nn.positions import LONGEST_WAVE


def step_positions(graph: Graph, x: Value, position: Value | None, lengths: Value | None) -> Value:
    """Of steps x (B, T, H) after `position` (B,) others: (B, T), or (1, T) where all rows have read equally many."""
    steps = unsqueeze(count(graph, graph.size(x, 1)), 0)
    return steps if position is None else unsqueeze(start_of(position, lengths), 1) + steps


def start_of(position: Value, lengths: Value | None) -> Value:
    """The steps read before (B,), or (1,) without lengths, when all rows of a call began together."""
    return position if lengths is not None else part(position, 0, 1, 0)


def _angles(positions: Value, size: int) -> Value:
    """position · 10000^(−2i/size) without its full turns: (B, T) -> (B, T, size/2).

    Full turns are taken off in 64 bits, so that a stream may run for millions of steps; what is left fits into 32.
    """
    graph = positions.graph
    waves = LONGEST_WAVE ** -(np.arange(0, size, 2, dtype=np.float64) / size) / (2 * math.pi)
    turns = unsqueeze(graph.cast(positions, "float64"), 2) * waves
    return graph.cast(turns - graph.add("Floor", turns), "float32") * (2 * math.pi)


def sinusoidal(positions: Value, size: int) -> Value:
    """Positions (B, T) -> (B, T, size), sine and cosine of each wave beside each other."""
    angles = _angles(positions, size)
    pairs = concat(positions.graph, [unsqueeze(angles.sin(), 3), unsqueeze(angles.cos(), 3)], 3)
    return reshape(pairs, 0, 0, size)


def rotary(positions: Value, size: int) -> tuple[Value, Value]:
    """Cosines and sines (B, T, 1, size/2) by which heads of an even size are turned at positions (B, T)."""
    angles = unsqueeze(_angles(positions, size), 2)
    return angles.cos(), angles.sin()


def turned(x: Value, rotation: tuple[Value, Value]) -> Value:
    """Heads x (B, T, N, D), each pair (x_i, x_{i+D/2}) turned by its step's angle."""
    cos, sin = rotation
    first, second = x.chunk(2, -1)
    return concat(x.graph, [first * cos - second * sin, second * cos + first * sin], 3)
