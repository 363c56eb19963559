"""The pool of a classifier, as a running state."""

from __future__ import annotations

import numpy as np

from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.steps import (
    LEAST,
    concat,
    count,
    last_step,
    part,
    real_steps,
    squeeze,
    total,
    transpose,
    unsqueeze,
)
from elman.nn.pooling import Pooling

PoolValues = tuple[Value, Value, Value]
"""The vector (B, H), its weight (B, 1) and the greatest score (B, 1) of `nn.pooling.PoolState`."""


def pool(
    graph: Graph, pooling: Pooling, hidden: Value, state: PoolValues, lengths: Value | None, mask: Value | None = None
) -> tuple[Value, PoolValues]:
    """hidden (B, T, H) -> the vector (B, H) of all steps so far, and the state after them.

    Of steps where `mask` (B, T) is false, and of those from `lengths` (B,) on, there is nothing in the vector.
    """
    real = None if lengths is None else real_steps(hidden, lengths)
    if mask is not None:
        real = mask if real is None else real & mask
        hidden, lengths = _together(graph, hidden, real)
    real = None if lengths is None else unsqueeze(real_steps(hidden, lengths), 2)  # (B, T, 1)
    steps = graph.cast(graph.size(hidden, 1) if lengths is None else unsqueeze(lengths, 1), "float32")
    if pooling.kind == "last":
        after = _ends(graph, pooling, hidden, state, lengths, steps)
    elif pooling.kind == "max":
        after = _greatest(graph, hidden, state, real, steps)
    elif pooling.kind == "mean":
        value, weight, top = state
        after = value + total(hidden if real is None else real.where(hidden, 0.0), 1), weight + steps, top
    else:
        after = _attended(graph, pooling, hidden, state, real)
    if pooling.kind in ("mean", "attention"):
        return after[0] / after[1].maximum(1.0), after
    return after[0], after


def _together(graph: Graph, hidden: Value, real: Value) -> tuple[Value, Value]:
    """The real steps (B, T) of hidden (B, T, H) moved to the left, and how many these are (B,).

    A step goes to the number of real steps before it, by a product with a matrix of zeros and ones.
    """
    counted = graph.cast(real, "int64")
    places = graph.add("CumSum", counted, np.array(1)) - 1  # (B, T)
    steps = count(graph, graph.size(hidden, 1))
    moved = (unsqueeze(places, 1) == unsqueeze(steps, 0, 2)) & unsqueeze(real, 1)  # (B, T to, T from)
    shown = unsqueeze(real, 2).where(hidden, 0.0)
    return graph.cast(moved, "float32") @ shown, total(counted, 1)


def _ends(
    graph: Graph, pooling: Pooling, hidden: Value, state: PoolValues, lengths: Value | None, steps: Value
) -> PoolValues:
    found = last_step(hidden, lengths)
    if pooling.backward_size:  # of a model that is not causal: there is no step before the first
        forward = pooling.hidden_size - pooling.backward_size
        first = graph.add("Gather", hidden, np.array(0), axis=1)
        found = concat(graph, [part(found, 0, forward), part(first, forward, pooling.hidden_size)], 1)
    value, weight, top = state
    return (found if lengths is None else (steps > 0.0).where(found, value)), weight + steps, top


def _greatest(graph: Graph, hidden: Value, state: PoolValues, real: Value | None, steps: Value) -> PoolValues:
    value, weight, top = state
    seen = hidden if real is None else real.where(hidden, LEAST)
    greatest = graph.add("ReduceMax", seen, axes=[1], keepdims=0).maximum((weight == 0.0).where(LEAST, value))
    weight = weight + steps
    return (greatest if real is None else (weight == 0.0).where(0.0, greatest)), weight, top


def _attended(graph: Graph, pooling: Pooling, hidden: Value, state: PoolValues, real: Value | None) -> PoolValues:
    value, weight, top = state
    assert pooling.score is not None
    inner, _, outer = pooling.score
    scores = hidden.linear(inner.weight, inner.bias).tanh().linear(outer.weight)  # (B, T, 1)
    if real is not None:
        scores = real.where(scores, LEAST)
    before = (weight == 0.0).where(LEAST, top)
    top = graph.add("ReduceMax", scores, axes=[1], keepdims=0).maximum(before)
    if real is not None:
        top = (top <= LEAST).where(0.0, top)
    kept, weights = (before - top).exp(), (scores - unsqueeze(top, 1)).exp()
    value = value * kept + squeeze(transpose(weights, 0, 2, 1) @ hidden, 1)
    return value, weight * kept + total(weights, 1), top
