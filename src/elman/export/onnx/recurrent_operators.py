"""ONNX's own operators of recurrent layers, in the one form that was right in every runtime tried.

They read time first, with biases, initial states and default activations, forward or in both directions, and name all
outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Numbers
from elman.cells import Weights, cell_named
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.steps import concat, count, last_step, real_steps, rows_at, transpose, unsqueeze
from elman.interop.frameworks import CONVENTIONS
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


def is_operator(layer: Recurrent, weights: Weights) -> bool:
    """Whether an operator of ONNX computes a layer."""
    given = {name for name, value in weights._asdict().items() if value is not None}
    return layer.cell in OPERATORS and given <= PLAIN and not (layer.zoneout or layer.zoneout_cell)


def read_by_operator(
    graph: Graph, layer: Recurrent, x: Value, states: list[list[Value]], weights: list[Weights]
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


def read_padded(
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
    shown = real_times(x, lengths)
    places = (unsqueeze(lengths, 1) - 1 - unsqueeze(count(graph, graph.size(x, 0)), 0)).maximum(0)  # (B, T)
    read = _at(x, places) if reverse else x
    if len(state) > 1:
        read = concat(graph, [shown.where(read, 0.0), shown.where(0.0, 1.0)], 2)
        weights = weights._replace(weight_ih=torch.cat([weights.weight_ih, _shut(layer, weights)], 1))
    y, (_, *others) = read_by_operator(graph, layer, read, [[*state]], [weights])
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


def real_times(x: Value, lengths: Value) -> Value:
    """Where the steps of x (T, B, D) are real, (T, B, 1)."""
    return unsqueeze(transpose(real_steps(transpose(x, 1, 0, 2), lengths), 1, 0), 2)


def _at(x: Value, places: Value) -> Value:
    """x (T, B, D) with each row's steps at places (B, T)."""
    return transpose(rows_at(transpose(x, 1, 0, 2), places), 1, 0, 2)
