"""Which keys a query of attention sees, and how memory goes on; see `elman.kernels.attention.sight`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.positions import start_of
from elman.export.onnx.steps import LEAST, concat, count, padding_bias, rows_at, transpose, unsqueeze


class Sight(NamedTuple):
    """The same for all layers of a model."""

    bias: Value | None = None  # (1 or B, 1, 1 or T, C + T): is added to the scores; None: each step sees every key
    remember: Callable[[Value, Value], Value] | None = None  # memory (B, N, C, D), new (B, N, T, D) -> memory after


def all_steps(x: Value, lengths: Value | None) -> Sight:
    """Of steps x (B, T, H): each sees all real ones of its row; in a row without any, the first."""
    return Sight(None if lengths is None else unsqueeze(padding_bias(x, lengths.maximum(1)), 1))


class Memory(NamedTuple):
    """What a causal model remembers: C slots, and the steps that were read; see `models.transformer.TransformerState`.

    Without lengths, all rows of a call have read the same number of steps, for they began together.
    """

    slots: Value  # int64 (1,): C
    position: Value  # int64 (B,)


def causal(graph: Graph, x: Value, window: int | None, memory: Memory | None, lengths: Value | None) -> Sight:
    """Of steps x (B, T, H): each sees itself and those before it, within the window and in memory."""
    T = graph.size(x, 1)
    step = count(graph, T)
    if memory is None:
        back = unsqueeze(step, 1) - unsqueeze(step, 0)  # (T, T)
        return Sight(_bias(_within(back, window)))
    C, position = memory
    start = unsqueeze(start_of(position, lengths), 1)  # (B or 1, 1)
    key, query = unsqueeze(count(graph, C + T), 0), unsqueeze(step, 1)
    new = _within(query + C - key, window)  # (T, C + T)
    if window is None and lengths is None:
        return Sight(_bias(new), lambda old, new: concat(graph, [old, new], 2))
    if window is None:
        old = unsqueeze(key < start, 1)  # (B, 1, C + T)
    else:
        age = unsqueeze((start - key - 1) % max(window - 1, 1) + 1, 1)  # (B, 1, C + T): steps before the next one
        reach = (unsqueeze(start, 1) + query).minimum(window - 1)  # (B, T, 1)
        old = age + query <= reach
    kept, added = graph.add("And", old, key < C), graph.add("And", new, key >= C)
    seen = graph.add("Or", kept, added)  # (B or 1, T, C + T)
    return Sight(unsqueeze(_bias(seen), 1), _ring(graph, window, C, T, start, lengths))


def _within(back: Value, window: int | None) -> Value:
    """Whether a key so many steps back is neither later nor beyond the window."""
    seen = back >= 0
    return seen if window is None else back.graph.add("And", seen, back < window)


def _bias(seen: Value) -> Value:
    return torch.where(seen, 0.0, LEAST)


def _ring(
    graph: Graph, window: int | None, C: Value, T: Value, start: Value, lengths: Value | None
) -> Callable[[Value, Value], Value]:
    """How the memory after is taken from the slots before and the new entries: by the last step that wrote each slot."""
    if window == 1:
        return lambda old, new: old  # no slot
    after = C + T if window is None else (C + T).minimum(window - 1)
    slot = unsqueeze(count(graph, after), 0)
    read = T if lengths is None else unsqueeze(lengths, 1)
    if window is None:
        writer = slot - start
        writer = torch.where(writer < read, writer, -1)
    else:
        writer = read - 1 - (start + read - 1 - slot) % (window - 1)
    source = torch.where(writer >= 0, writer + C, slot.minimum(C + T - 1))  # (B or 1, C')
    if lengths is None:
        at = graph.add("Squeeze", source, np.array([0]))
        return lambda old, new: graph.add("Gather", concat(graph, [old, new], 2), at, axis=2)
    used = unsqueeze(graph.add("Or", writer >= 0, slot < C), 1, 3)  # (B, 1, C', 1)

    def remember(old: Value, new: Value) -> Value:
        both = transpose(concat(graph, [old, new], 2), 0, 2, 1, 3)  # (B, C + T, N, D)
        return torch.where(used, transpose(rows_at(both, source), 0, 2, 1, 3), 0.0)

    return remember
