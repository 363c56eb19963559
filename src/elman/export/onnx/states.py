"""The state of a model as inputs and outputs of its graph."""

from __future__ import annotations

from collections.abc import Sequence

from elman.export.onnx.graph import Graph, Shape, Value
from elman.state import State, leaves


def shapes(state: State) -> list[tuple[Shape, str]]:
    """Shape and type of each tensor of a fresh state, in order; a size of 0 is that of a memory which grows."""
    found = list[tuple[Shape, str]]()
    for leaf in leaves(state):
        dtype = "int64" if not leaf.is_floating_point() else "float32"
        found.append((["batch", *(size or "memory" for size in leaf.shape[1:])], dtype))
    return found


def read(graph: Graph, state: State) -> list[Value]:
    """The tensors of a state before the call."""
    return [graph.state(shape, dtype) for shape, dtype in shapes(state)]


def write(graph: Graph, state: State, values: Sequence[Value]) -> None:
    """Give the tensors of the state after the call."""
    for (shape, _), value in zip(shapes(state), values, strict=True):
        graph.next_state(value, [f"next_{size}" if size == "memory" else size for size in shape])
