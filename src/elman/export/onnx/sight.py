"""Which keys a query of attention sees, and how memory goes on; see `elman.kernels.attention.sight`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.steps import LEAST, concat, count, padding_bias, reshape, unsqueeze

UNUSED = 1 << 29  # the age of a slot that is not in use; some runtimes count in 32 bits


class KeySight(NamedTuple):
    """The same for all layers of a model."""

    bias: Value | None = None  # (1 or B, 1, 1 or T, C + T): is added to the scores; None: each step sees every key
    remember: Callable[[Value, Value], Value] | None = None  # memory (B, N, C, D), new (B, N, T, D) -> memory after


def all_steps(x: Value, lengths: Value | None) -> KeySight:
    """Of steps x (B, T, H): each sees all real ones of its row; in a row without any, the first."""
    return KeySight(None if lengths is None else unsqueeze(padding_bias(x, lengths.maximum(1)), 1))


class SlotMemory(NamedTuple):
    """What a causal model remembers: C slots, and the steps that each row has read; see `TransformerState`."""

    slots: Value  # int64 (1,): C
    position: Value  # int64 (B,)


def causal(graph: Graph, x: Value, window: int | None, memory: SlotMemory | None, lengths: Value | None) -> KeySight:
    """Of steps x (B, T, H): each sees itself and those before it, within the window and in memory."""
    T = graph.size(x, 1)
    query, key = unsqueeze(count(graph, T), 1), unsqueeze(count(graph, T), 0)
    back = query - key  # (T, T)
    if memory is None:
        return KeySight(_bias(_within(back, window)))
    C, position = memory
    start = unsqueeze(position, 1)  # (B, 1)
    reach = start + key if window is None else (start + key).minimum(window - 1)
    reach = unsqueeze(reach, 2)  # (B, T, 1)
    new = (back >= 0) & (back <= reach)  # (B, T, T)
    if window == 1:  # no slot
        return KeySight(unsqueeze(_bias(new), 1), lambda old, new: old)
    before = start - unsqueeze(count(graph, C), 0)  # (B, C)
    ages = (before > 0).where(before, UNUSED) if window is None else (before - 1) % (window - 1) + 1
    old = unsqueeze(ages, 1) + query <= reach  # (B, T, C)
    read = T if lengths is None else unsqueeze(lengths, 1)
    seen = concat(graph, [old, new], 2)
    return KeySight(unsqueeze(_bias(seen), 1), partial(_remember, *_writers(graph, window, C, T, start, read)))


def _within(back: Value, window: int | None) -> Value:
    """Whether a key so many steps back is neither later nor beyond the window."""
    return back >= 0 if window is None else (back >= 0) & (back < window)


def _bias(seen: Value) -> Value:
    return seen.where(0.0, LEAST)


def _writers(graph: Graph, window: int | None, C: Value, T: Value, start: Value, read: Value) -> tuple[Value, Value]:
    """C' and, of each slot after the call, its place among C' old slots and T new steps (B, 1, C').

    The last of the `read` new steps that wrote a slot follows from the slot's number.
    """
    after = C + T if window is None else (C + T).minimum(window - 1)
    slot = unsqueeze(count(graph, after), 0)  # (1, C')
    if window is None:
        writer = slot - start
        is_written = (writer >= 0) & (writer < read)
    else:
        writer = read - 1 - (start + read - 1 - slot) % (window - 1)
        is_written = writer >= 0
    return after, unsqueeze(is_written.where(after + writer, slot), 1)


def _remember(after: Value, source: Value, memory: Value, new: Value) -> Value:
    """SlotMemory (B, N, C, D) and new entries (B, N, T, D) -> memory (B, N, C', D)."""
    graph, (B, N, C, D) = memory.graph, (memory.graph.size(memory, axis) for axis in range(4))
    entries = concat(graph, [memory, graph.zeros(B, N, after - C, D), new], 2)
    # Every entry of every head is a row of one table, from which one `Gather` takes those of the slots.
    heads = reshape(count(graph, B * N), B, N, 1)
    table = graph.add("Reshape", entries, graph.shape(-1, D))
    return graph.add("Gather", table, heads * graph.size(entries, 2) + source)
