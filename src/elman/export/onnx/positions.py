"""Encodings of positions, from tables; see `elman.nn.positions`.

The angles of a position are the sums of those of its digits, so that its cosines and sines are made of those of the
digits, which tables hold. They are exact for a stream of billions of steps without a number of 64 bits, which some
runtimes (OpenVINO 2026.4.1) silently turn into one of 32.
"""

from __future__ import annotations

import numpy as np
import torch

from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.steps import concat, count, reshape, unsqueeze
from elman.nn.positions import rotary as rotation_of

BASE, DIGITS = 256, 4


def step_positions(graph: Graph, x: Value, position: Value | None) -> Value:
    """Of steps x (B, T, H) after `position` (B,) others: (B, T), or (1, T) where there are no others."""
    steps = unsqueeze(count(graph, graph.size(x, 1)), 0)
    return steps if position is None else unsqueeze(position, 1) + steps


def _waves(positions: Value, size: int) -> tuple[Value, Value]:
    """Cosines and sines of position · 10000^(−2i/size): (B, T) int64 -> (B, T, size/2)."""
    graph, found = positions.graph, list[tuple[Value, Value]]()
    for place in range(DIGITS):
        numbers = torch.arange(BASE) * BASE**place
        tables = [graph.weight(table.float()) for table in rotation_of(numbers, size, torch.float64)]
        digit = (positions / np.array(BASE**place)) % np.array(BASE)
        c, s = (graph.add("Gather", table, digit) for table in tables)
        if found:
            cos, sin = found[-1]
            c, s = cos * c - sin * s, sin * c + cos * s
        found.append((c, s))
    return found[-1]


def sinusoidal(positions: Value, size: int) -> Value:
    """Positions (B, T) -> (B, T, size), sine and cosine of each wave beside each other."""
    cos, sin = _waves(positions, size)
    pairs = concat(positions.graph, [unsqueeze(sin, 3), unsqueeze(cos, 3)], 3)
    return reshape(pairs, 0, 0, size)


def rotary(positions: Value, size: int) -> tuple[Value, Value]:
    """Cosines and sines (B, T, 1, size/2) by which heads of an even size are turned at positions (B, T)."""
    cos, sin = _waves(positions, size)
    return unsqueeze(cos, 2), unsqueeze(sin, 2)


def turned(x: Value, rotation: tuple[Value, Value]) -> Value:
    """Heads x (B, T, N, D), each pair (x_i, x_{i+D/2}) turned by its step's angle."""
    cos, sin = rotation
    first, second = x.chunk(2, -1)
    return concat(x.graph, [first * cos - second * sin, second * cos + first * sin], 3)
