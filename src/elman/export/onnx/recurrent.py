"""Recurrent layers as graphs: ONNX's own operators where every runtime computes them alike, else a loop.

The operators are in `recurrent_operators`. All other cells, and every variation of a cell, are a `Scan` whose body is
the cell's own step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from elman.cells import Weights, cell_named
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.recurrent_operators import is_operator, read_by_operator, read_padded, real_times
from elman.export.onnx.steps import concat, turned
from elman.kernels.reference import project, recur, zone
from elman.kernels.seam import Noise
from elman.nn import Recurrent


def read_layer(
    graph: Graph, layer: Recurrent, x: Value, state: Sequence[Value] | None = None, lengths: Value | None = None
) -> tuple[Value, list[Value]]:
    """Draw a layer of `elman.nn`, in evaluation.

    x (T, B, D) -> outputs (T, B, P), of both directions one after the other, and the final states.

    `state` has (B, ·) each: those of a cell together, of a layer's directions one after the other, layer by layer; the
    final states are likewise. None: zeros.
    """
    cell = cell_named(layer.cell)
    before = list(state) if state is not None else _zeros(graph, layer, x)
    after: list[Value] = []
    for depth in range(layer.num_layers):
        weights = [layer.layer_weights(depth, d) for d in range(layer.num_directions)]
        own = before[len(after) : len(after) + len(cell.states) * len(weights)]
        states = [own[d * len(cell.states) :][: len(cell.states)] for d in range(len(weights))]
        if lengths is None and is_operator(layer, weights[0]):
            x, final = read_by_operator(graph, layer, x, states, weights)
        else:
            x, final = _by_directions(graph, layer, x, states, weights, lengths)
        after += final
    return x, after


def read_masked(
    graph: Graph, layer: Recurrent, x: Value, state: Sequence[Value] | None, real: Value, *, reverse: bool = False
) -> tuple[Value, list[Value]]:
    """As `read_layer` of one layer, without the steps where `real` (T, B, 1) is false.

    These repeat the outputs of the step that was read before them, and before the first step h of the state.
    """
    parts = len(cell_named(layer.cell).states)
    before, outputs, finals = list(state or _zeros(graph, layer, x)), list[Value](), list[Value]()
    for direction in range(layer.num_directions):
        own = before[direction * parts :][:parts]
        backward = reverse != (direction == 1)
        y, final = scan(graph, layer, x, own, layer.layer_weights(0, direction), real, reverse=backward)
        outputs.append(y)
        finals += final
    return concat(graph, outputs, 2), finals


def read_backward(graph: Graph, layer: Recurrent, x: Value, lengths: Value | None) -> tuple[Value, list[Value]]:
    """As `read_layer` of one layer in one direction, which reads from the last step to the first."""
    weights, state = layer.layer_weights(0, 0), _zeros(graph, layer, x)
    if not is_operator(layer, weights):
        return scan(graph, layer, x, state, weights, None if lengths is None else real_times(x, lengths), reverse=True)
    if lengths is not None:
        return read_padded(graph, layer, x, state, weights, lengths, reverse=True)
    y, finals = read_by_operator(graph, layer, turned(x, 0), [state], [weights])
    return turned(y, 0), finals


def _zeros(graph: Graph, layer: Recurrent, x: Value) -> list[Value]:
    cell, B = cell_named(layer.cell), graph.size(x, 1)
    sizes = [cell.sizes(H, layer.proj_size or H) for H in layer.hidden_sizes for _ in range(layer.num_directions)]
    return [graph.zeros(B, size) for own in sizes for size in own]


def _by_directions(
    graph: Graph,
    layer: Recurrent,
    x: Value,
    states: list[list[Value]],
    weights: list[Weights],
    lengths: Value | None,
) -> tuple[Value, list[Value]]:
    """Each direction by itself: by the operator, where there are lengths and an operator, else by a loop."""
    outputs, finals = [], []
    for direction, (own, state) in enumerate(zip(weights, states, strict=True)):
        reverse = direction == 1
        if lengths is not None and is_operator(layer, own):
            y, final = read_padded(graph, layer, x, state, own, lengths, reverse=reverse)
        else:
            real = None if lengths is None else real_times(x, lengths)
            y, final = scan(graph, layer, x, state, own, real, reverse=reverse)
            y = y if real is None else real.where(y, 0.0)
        outputs.append(y)
        finals += final
    return concat(graph, outputs, 2), finals


def scan(
    graph: Graph,
    layer: Recurrent,
    x: Value,
    state: Sequence[Value],
    weights: Weights,
    real: Value | None = None,
    *,
    reverse: bool = False,
) -> tuple[Value, list[Value]]:
    """A loop over time, whose body is the cell's step as `kernels.reference` takes it.

    Steps where `real` (T, B, 1) is false change no state, and their outputs are those of the step before.
    """
    cell = cell_named(layer.cell)
    body = Graph(graph.fresh("step"), outer=graph)
    H = weights.weight_ih.shape[0] // len(cell.rows)
    sizes = cell.sizes(H, layer.proj_size or H)
    before = [
        body.input(graph.fresh(f"before_{part.name}"), "float32", ["batch", size])
        for part, size in zip(cell.states, sizes, strict=True)
    ]
    read = body.input(graph.fresh("read"), "float32", ["batch", weights.weight_ih.shape[0]])
    own, step = cast(Any, weights), cast(Callable[..., Any], cell.step)  # of values in place of tensors
    after, _ = step(read, recur(cast(Any, before[0]), own), before, own)
    shares = Noise(None, cast(Any, layer.zoneout or None), cast(Any, layer.zoneout_cell or None))
    after = cast(Sequence[Value], zone(after, cast(Any, before), shares))
    inputs = [cast(Value, project(cast(Any, x), own))]
    if real is not None:
        inputs.append(real)
        now = body.input(graph.fresh("real"), "bool", ["batch", 1])
        after = [now.where(new, old) for new, old in zip(after, before, strict=True)]
    for part, value, size in zip(cell.states, after, sizes, strict=True):
        body.output(graph.fresh(f"after_{part.name}"), value, ["batch", size])
    body.output(graph.fresh("h"), after[0], ["batch", sizes[0]])
    directions = [int(reverse)] * len(inputs)
    *finals, y = graph.add_many(
        "Scan",
        len(before) + 1,
        *state,
        *inputs,
        body=body.proto(),
        num_scan_inputs=len(inputs),
        scan_input_directions=directions,
        scan_output_directions=directions[:1],
    )
    return y, finals
