"""Recurrent layers as graphs: ONNX's own operators where every runtime computes them alike, else a loop.

The operators are in the one form that was right in every runtime tried: time first, with biases and initial states, all
outputs named, default activations, forward or in both directions. All other cells, and every variation of a cell, are a
`Scan` whose body is the cell's own step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Numbers
from elman.cells import Weights, cell_named
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.steps import concat, count, last_step, real_steps, rows_at, transpose, turned, unsqueeze
from elman.interop.frameworks import CONVENTIONS
from elman.kernels.reference import project, recur, zone
from elman.kernels.seam import Noise
from elman.nn import Recurrent

ORDER = [0, 2, 1, 3]
PLAIN = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}


class Operator(NamedTuple):
    """An operator of ONNX that computes a cell."""

    name: str
    convention: str  # with the order of its gates
    attributes: dict[str, Any] = {}  # noqa: RUF012


OPERATORS = {
    "elman": Operator("RNN", "onnx.RNN"),
    "gru": Operator("GRU", "onnx.GRU_linear_before_reset", {"linear_before_reset": 1}),
    "gru_reset_before": Operator("GRU", "onnx.GRU"),
    "lstm": Operator("LSTM", "onnx.LSTM"),
}


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
        read = _by_operator if lengths is None and is_operator(layer, weights[0]) else _by_directions
        x, final = read(graph, layer, x, states, weights, lengths)
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
        return scan(graph, layer, x, state, weights, None if lengths is None else _shown(x, lengths), reverse=True)
    if lengths is not None:
        return _padded(graph, layer, x, state, weights, lengths, reverse=True)
    y, finals = _by_operator(graph, layer, turned(x, 0), [state], [weights], None)
    return turned(y, 0), finals


def is_operator(layer: Recurrent, weights: Weights) -> bool:
    """Whether an operator of ONNX computes a layer."""
    given = {name for name, value in weights._asdict().items() if value is not None}
    return layer.cell in OPERATORS and given <= PLAIN and not (layer.zoneout or layer.zoneout_cell)


def _zeros(graph: Graph, layer: Recurrent, x: Value) -> list[Value]:
    cell, B = cell_named(layer.cell), graph.size(x, 1)
    sizes = [cell.sizes(H, layer.proj_size or H) for H in layer.hidden_sizes for _ in range(layer.num_directions)]
    return [graph.zeros(B, size) for own in sizes for size in own]


def _by_operator(
    graph: Graph, layer: Recurrent, x: Value, states: list[list[Value]], weights: list[Weights], _: Any
) -> tuple[Value, list[Value]]:
    """One node, for one direction or both."""
    operator, directions = OPERATORS[layer.cell], len(weights)
    arrays = [_arrays(operator, layer.cell, own) for own in weights]
    W, R, B = (graph.weight(np.stack(part)) for part in zip(*arrays, strict=True))
    initial = [_stacked(graph, parts) for parts in zip(*states, strict=True)]
    direction = {} if directions == 1 else {"direction": "bidirectional"}
    H = arrays[0][1].shape[1]
    outputs = graph.add_many(
        operator.name, 1 + len(initial), x, W, R, B, None, *initial, hidden_size=H, **direction, **operator.attributes
    )
    Y, *finals = outputs
    if directions == 1:
        y = graph.add("Squeeze", Y, np.array([1]))  # from (T, 1, B, H)
        return y, [graph.add("Squeeze", final, np.array([0])) for final in finals]
    y = graph.add("Reshape", graph.add("Transpose", Y, perm=ORDER), np.array([0, 0, directions * H]))
    parts = [graph.add_many("Split", directions, final, axis=0) for final in finals]
    return y, [graph.add("Squeeze", part[d], np.array([0])) for d in range(directions) for part in parts]


def _stacked(graph: Graph, parts: Sequence[Value]) -> Value:
    """States (B, H) of each direction -> (directions, B, H)."""
    each = [graph.add("Unsqueeze", part, np.array([0])) for part in parts]
    return each[0] if len(each) == 1 else graph.add("Concat", *each, axis=0)


def _arrays(operator: Operator, cell: str, weights: Weights) -> tuple[Numbers, Numbers, Numbers]:
    """W, R and B of one direction: the gates in the operator's order, with zeros for biases that the layer lacks."""
    gates, specification = CONVENTIONS[operator.convention].gates, cell_named(cell)
    assert weights.weight_hh is not None
    H = weights.weight_hh.shape[1]

    def ordered(tensor: Tensor | None) -> Numbers:
        array = np.zeros(len(gates) * H, np.float32) if tensor is None else tensor.detach().cpu().numpy()
        return np.concatenate([array[specification.rows_of(gate, H)] for gate in gates])

    biases = np.concatenate([ordered(weights.bias_ih), ordered(weights.bias_hh)])
    return ordered(weights.weight_ih), ordered(weights.weight_hh), biases


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
            y, final = _padded(graph, layer, x, state, own, lengths, reverse=reverse)
        else:
            real = None if lengths is None else _shown(x, lengths)
            y, final = scan(graph, layer, x, state, own, real, reverse=reverse)
            y = y if real is None else real.where(y, 0.0)
        outputs.append(y)
        finals += final
    return concat(graph, outputs, 2), finals


def _padded(
    graph: Graph,
    layer: Recurrent,
    x: Value,
    state: Sequence[Value],
    weights: Weights,
    lengths: Value,
    *,
    reverse: bool,
) -> tuple[Value, list[Value]]:
    """The operator over rows with padding, without its own lengths, which few runtimes know.

    It reads the padding last, of the second direction in reversed rows, and h is taken from its outputs. For the LSTM's
    c, which is no output, an input more, 1 at the padding, shuts i and opens f, so that c stays.
    """
    shown = _shown(x, lengths)
    places = (unsqueeze(lengths, 1) - 1 - unsqueeze(count(graph, graph.size(x, 0)), 0)).maximum(0)  # (B, T)
    read = _at(x, places) if reverse else x
    if len(state) > 1:
        read = concat(graph, [shown.where(read, 0.0), shown.where(0.0, 1.0)], 2)
        weights = weights._replace(weight_ih=torch.cat([weights.weight_ih, _shut(layer, weights)], 1))
    y, (_, *others) = _by_operator(graph, layer, read, [[*state]], [weights], None)
    rows = transpose(y, 1, 0, 2)
    h = (unsqueeze(lengths, 1) > 0).where(last_step(rows, lengths), state[0])
    return shown.where(_at(y, places) if reverse else y, 0.0), [h, *others]


SHUT = 1e4  # a gate's sum from which its sigmoid is 0 or 1


def _shut(layer: Recurrent, weights: Weights) -> Tensor:
    """The column (G * H, 1) of W_ih that makes the gates of an LSTM keep c."""
    cell, column = cell_named(layer.cell), weights.weight_ih.new_zeros(weights.weight_ih.shape[0], 1)
    H = len(column) // len(cell.rows)
    column[cell.rows_of("i", H)], column[cell.rows_of("f", H)] = -SHUT, SHUT
    return column


def _shown(x: Value, lengths: Value) -> Value:
    """Where the steps of x (T, B, D) are real, (T, B, 1)."""
    return unsqueeze(transpose(real_steps(transpose(x, 1, 0, 2), lengths), 1, 0), 2)


def _at(x: Value, places: Value) -> Value:
    """x (T, B, D) with each row's steps at places (B, T)."""
    return transpose(rows_at(transpose(x, 1, 0, 2), places), 1, 0, 2)


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
