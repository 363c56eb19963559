"""The layers of an imported model as a graph: the nodes of a `LayeredModel`, with their masks and states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple, cast

import numpy as np

from elman.export.onnx import states
from elman.export.onnx.graph import Graph, Shape, Value
from elman.export.onnx.pooling import pool
from elman.export.onnx.recurrent import read_backward, read_layer, read_masked
from elman.export.onnx.steps import concat, count, part, real_steps, transpose, turned, unsqueeze
from elman.export.options import ExportOptions
from elman.models.layered import INPUT, LayeredModel
from elman.models.layered_ops import COMBINATIONS, CombinationNode, EmbeddingNode, MaskingNode, PoolNode
from elman.models.layered_pointwise import SliceNode
from elman.models.layered_recurrent import MERGES, RecurrentNode
from elman.models.layered_scores import is_sigmoid
from elman.state import leaves

TINY = float(np.finfo(np.float32).tiny)


class LayerValue(NamedTuple):
    """A value of a node, and the mask beside it."""

    data: Value  # (B, T, F) or (B, F); tokens (B, T)
    mask: Value | None = None  # (B, T) boolean


class NodeReading(NamedTuple):
    """What a node needs besides the values before it."""

    graph: Graph
    lengths: Value | None
    state: list[Value]  # of the node, before the call; empty in a model that is not causal

    def real(self, x: Value, mask: Value | None) -> Value | None:
        """The steps of x (B, T, F) that are there and not masked, (B, T); None: all."""
        if self.lengths is None:
            return mask
        there = real_steps(x, self.lengths)
        return there if mask is None else there & mask


Found = tuple[LayerValue, Sequence[Value]]
"""The value of a node, and its state after the call."""


def draw_scores(graph: Graph, model: Any, x: Value, shape: Shape, options: ExportOptions, *, as_classes: bool) -> None:
    """Give an imported model's scores of x, of this shape, as `logits`; with the state before and after."""
    lengths = graph.input("lengths", "int64", ["batch"]) if options.lengths else None
    fresh = model.initial_state(1)
    scores, after = read_scores(graph, model.network, x, states.read(graph, fresh), lengths, as_classes=as_classes)
    graph.output("logits", scores, shape)
    states.write(graph, fresh, after)


def read_scores(
    graph: Graph, network: LayeredModel, x: Value, state: Sequence[Value], lengths: Value | None, *, as_classes: bool
) -> tuple[Value, list[Value]]:
    """As `layered_scores.read_scores`: logits or numbers (…, K), and the state after the inputs."""
    scores, after = read_node(graph, network, network.settings.logits or network.settings.output, x, state, lengths)
    config = network.config
    if config["output_kind"] == "probabilities" and config["logits"] is None:
        given, scores = scores, scores.maximum(TINY).log()
        if is_sigmoid(config):
            scores = scores - (1.0 - given).maximum(TINY).log()
    if as_classes and config["outputs"] == 1:
        scores = concat(graph, [scores * 0.0, scores], -1)
    return scores, after


def read_node(
    graph: Graph, network: LayeredModel, wanted: str, x: Value, state: Sequence[Value], lengths: Value | None
) -> tuple[Value, list[Value]]:
    """The value of the node of a name, and the state after the inputs."""
    values, after, remaining = {INPUT: LayerValue(x)}, list[Value](), iter(state)
    for settings, (name, node) in zip(network.settings.nodes, network.named_nodes.items(), strict=True):
        keeps = network.causal and node.stateful
        own = [next(remaining) for _ in leaves(node.initial_state(1, next(network.parameters())))] if keeps else []
        draw = NODES.get(type(node), _pointwise)
        values[name], kept = draw(
            node, [values[source] for source in settings.inputs], NodeReading(graph, lengths, own)
        )
        after += kept if keeps else []
    return values[wanted].data, after


def _pointwise(node: Any, given: list[LayerValue], reading: NodeReading) -> Found:
    """The node's own function, in evaluation."""
    ((x, mask),) = given
    return LayerValue(node.layer(x), mask), ()


def _embedding(node: EmbeddingNode, given: list[LayerValue], reading: NodeReading) -> Found:
    ((tokens, mask),) = given
    x = reading.graph.add("Gather", reading.graph.weight(node.layer.weight), tokens)
    return LayerValue(x, tokens != 0 if node.mask_zero else mask), ()


def _masking(node: MaskingNode, given: list[LayerValue], reading: NodeReading) -> Found:
    ((x, _),) = given
    graph = reading.graph
    differs = graph.cast(x != node.mask_value, "float32")
    kept = graph.add("ReduceMax", differs, axes=[-1], keepdims=1) > 0.0  # (B, T, 1)
    return LayerValue(kept.where(x, 0.0), graph.add("Squeeze", kept, np.array([2]))), ()


def _slice(node: SliceNode, given: list[LayerValue], reading: NodeReading) -> Found:
    ((x, mask),) = given
    return LayerValue(part(x, node.start, node.stop), mask), ()


def _combination(node: CombinationNode, given: list[LayerValue], reading: NodeReading) -> Found:
    parts, masks = [value.data for value in given], [value.mask for value in given if value.mask is not None]
    mask = reduce(lambda a, b: a | b, masks) if len(masks) == len(given) else None
    if node.kind == "concat":
        return LayerValue(concat(reading.graph, parts, -1), mask), ()
    combine = cast(Callable[[Any, Any], Value], COMBINATIONS["add" if node.kind == "average" else node.kind])
    whole = reduce(combine, parts)
    return LayerValue(whole / float(len(parts)) if node.kind == "average" else whole, mask), ()


def _pool(node: PoolNode, given: list[LayerValue], reading: NodeReading) -> Found:
    ((x, mask),) = given
    graph, H = reading.graph, node.layer.hidden_size
    value, weight, top = reading.state or [graph.zeros(graph.size(x, 0), size) for size in (H, 1, 1)]
    pooled, after = pool(graph, node.layer, x, (value, weight, top), reading.lengths, mask if node.use_mask else None)
    return LayerValue(pooled), after


def _recurrent(node: RecurrentNode, given: list[LayerValue], reading: NodeReading) -> Found:
    ((x, mask),) = given
    graph, layer, backward = reading.graph, node.layer, node.direction == "backward"
    read, state = transpose(x, 1, 0, 2), reading.state or None
    if mask is not None:
        real = cast(Value, reading.real(x, mask))
        shown = unsqueeze(transpose(real, 1, 0), 2)
        y, after = read_masked(graph, layer, read, state, shown, reverse=backward)
        y = transpose(y, 1, 0, 2)
        if node.padding == "zero" or node.direction == "both":
            y = unsqueeze(real, 2).where(y, 0.0)
        elif node.leading == "zero" and state is not None:
            seen = graph.add("CumSum", graph.cast(real, "int64"), np.array(1)) > 0
            y = unsqueeze(seen, 2).where(y, 0.0)
    else:
        reader = read_backward if backward else partial(read_layer, state=state)
        y, after = reader(graph, layer, read, lengths=reading.lengths)
        y = transpose(y, 1, 0, 2)
    if node.reads == "last":
        last = concat(graph, [*after[:: len(after) // layer.num_directions]], 1)
        return LayerValue(_last(node, _merged(node, last), mask, reading)), after
    if backward and not node.in_time_order:
        y = turned(y, 1)
    return LayerValue(_merged(node, y), mask), after


def _merged(node: RecurrentNode, x: Value) -> Value:
    if node.direction != "both" or node.merge == "concat":
        return x
    return cast(Callable[..., Value], MERGES[node.merge])(*x.chunk(2, -1))


def _last(node: RecurrentNode, last: Value, mask: Value | None, reading: NodeReading) -> Value:
    """The last outputs (B, ·): with the padding "zero", zeros in a row whose last step is masked."""
    if node.padding != "zero" or mask is None:
        return last
    graph = reading.graph
    if node.direction == "backward":  # the first step is read last
        return part(mask, 0, 1, 1).where(last, 0.0)
    if reading.lengths is None:
        return part(mask, -1, 1 << 31, 1).where(last, 0.0)
    steps = unsqueeze(count(graph, graph.size(mask, 1)), 0)
    hidden = (steps == unsqueeze(reading.lengths, 1) - 1) & ~mask
    found = graph.add("ReduceMax", graph.cast(hidden, "float32"), axes=[1], keepdims=1) > 0.0
    return found.where(0.0, last)


NODES: dict[type, Callable[[Any, list[LayerValue], NodeReading], Found]] = {
    EmbeddingNode: _embedding,
    MaskingNode: _masking,
    SliceNode: _slice,
    CombinationNode: _combination,
    PoolNode: _pool,
    RecurrentNode: _recurrent,
}
