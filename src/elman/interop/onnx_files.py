"""ONNX graphs as models of elman: batch first, whatever the order of axes in the graph.

Every value of the graph is followed with its axes (`elman.interop.onnx.axes`): which dimension is the batch, which is
time, which are features. A graph whose values stand time first becomes one whose values stand batch first, and a node
that mixes the axes is refused, for what it computes depends on how many rows are read at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from elman.errors import UserError
from elman.interop.imported import Imported, ImportOptions
from elman.interop.onnx import computing, constants, moving, normalising, recurrent, selecting, shapes
from elman.interop.onnx.inputs import place_inputs
from elman.interop.onnx.messages import GraphNode, OnnxGraph, read_graph
from elman.interop.onnx.outcome import finished
from elman.interop.onnx.values import Lifted, NodeCall, Operator, Refusal, Trace, WrongOrder

OPERATORS: dict[str, Operator] = {
    **constants.OPERATORS,
    **shapes.OPERATORS,
    **moving.OPERATORS,
    **selecting.OPERATORS,
    **computing.OPERATORS,
    **normalising.OPERATORS,
    **recurrent.OPERATORS,
}


def read_onnx(path: Path, options: ImportOptions | None = None) -> Imported:
    """The model of an ONNX file, without the package `onnx`.

    Understood are RNN, GRU and LSTM with what layers of elman compute, embeddings (Gather), linear layers, activations,
    normalisations, pools over time, and what moves axes. A graph that is given the states of its layers and returns
    them becomes a model whose state is passed from call to call. Nothing in `options` concerns such a file.

    Raises:
        UserError: a damaged file, a node that is not known or mixes axes: one line, which names it.
    """
    graph = read_graph(path)
    nodes, failed = _needed(graph), list[Refusal]()
    for batch_first in (True, False):
        try:
            return _read(graph, nodes, batch_first)
        except Refusal as error:
            failed.append(error)
        except RecursionError:
            raise UserError(f"{path}: its nodes are nested too deeply") from None
    # The wrong order of axes fails at the first node that needs the other.
    reason = max(failed, key=lambda error: (error.place, not isinstance(error, WrongOrder)))
    raise UserError(f"{path}: {reason}") from None


def _needed(graph: OnnxGraph) -> list[tuple[int, GraphNode]]:
    """The nodes that the outputs depend on, with their numbers."""
    made = {name: number for number, node in enumerate(graph.nodes) for name in node.outputs if name}
    needed, new = set[int](), list(graph.outputs)
    while new:
        number = made.get(new.pop())
        if number is not None and number not in needed:
            needed.add(number)
            new += graph.nodes[number].inputs
    return [(number, node) for number, node in enumerate(graph.nodes) if number in needed]


def _read(graph: OnnxGraph, nodes: Sequence[tuple[int, GraphNode]], batch_first: bool) -> Imported:
    """The model, if the input of the graph is batch first, or time first. Raises `Refusal` at the first wrong node."""
    trace = Trace(graph.opset, sum(array.size for array in graph.constants.values()))
    values: dict[str, Lifted] = {**graph.constants}
    values |= place_inputs(trace, graph, [node for _, node in nodes], batch_first)
    place = 0
    try:
        for number, node in nodes:
            place = number
            if lacking := [name for name in node.inputs if name and name not in values]:
                raise Refusal(f"{node}: its input {lacking[0]!r} is made by no node before it")
            found = _computed(NodeCall(trace, node, [values[name] if name else None for name in node.inputs]))
            values |= zip(node.outputs, found if isinstance(found, list) else [found], strict=False)
        place = len(graph.nodes)
        return finished(trace, graph, values)
    except UserError as error:
        refusal = error if isinstance(error, Refusal) else Refusal(f"{error}")
        refusal.place = place
        raise refusal from None


def _computed(call: NodeCall) -> Lifted | list[Lifted]:
    """The outputs of a node."""
    arrays = [value for value in call.inputs if isinstance(value, np.ndarray)]
    if arrays and len(arrays) == sum(value is not None for value in call.inputs):
        found = constants.folded(call, arrays)
    else:
        found = shapes.of_counts(call)
    if found is not None:
        return found
    if call.node.op not in OPERATORS:
        call.refuse("this operator is not known here")
    return OPERATORS[call.node.op](call)
