"""The inputs of a graph: what the model reads, states, and lengths."""

from __future__ import annotations

from collections.abc import Sequence

from elman.interop.onnx.axes import BATCH, TIME, Atom, Dims, features, joined
from elman.interop.onnx.drafts import INPUT, Draft
from elman.interop.onnx.messages import GraphInput, GraphNode, OnnxGraph, shown
from elman.interop.onnx.recurrent import DEFAULTS
from elman.interop.onnx.values import Lengths, Lifted, Refusal, Trace, Traced

X, SEQUENCE_LENS, INITIAL = (0,), (4,), (5, 6)  # inputs of recurrent nodes by their places


def place_inputs(trace: Trace, graph: OnnxGraph, nodes: Sequence[GraphNode], batch_first: bool) -> dict[str, Lifted]:
    """Every input that nodes read, with its axes."""
    states, lengths, reads = (_sources(nodes, places) for places in (INITIAL, SEQUENCE_LENS, X))
    found, data = dict[str, Lifted](), list[GraphInput]()
    for port in graph.inputs:
        if port.name in lengths - reads:
            found[port.name] = Lengths(port.name)
            trace.lengths.append(port.name)
        elif port.name in states - reads:
            found[port.name] = _state(trace, port)
        elif any(port.name in node.inputs for node in nodes):
            data.append(port)
    if len(data) != 1:
        got = ", ".join(shown(port.name) for port in data[:8]) or "none"
        raise Refusal("inputs", expected="one that the model reads, beside states and lengths", got=got)
    found[data[0].name] = _read(trace, data[0], batch_first)
    return found


def _sources(nodes: Sequence[GraphNode], places: Sequence[int]) -> set[str]:
    """The values that become inputs of recurrent nodes at `places` without another recurrent node between."""
    made = {name: node for node in nodes for name in node.outputs if name}
    layers = [node for node in nodes if node.op in DEFAULTS]
    found, new = set[str](), [node.inputs[at] for node in layers for at in places if at < len(node.inputs)]
    while new:
        if (name := new.pop()) not in found:
            found.add(name)
            node = made.get(name)
            new += node.inputs if node is not None and node.op not in DEFAULTS else ()
    return found


def _state(trace: Trace, port: GraphInput) -> Traced:
    """A state of one layer (B, H), or of several (layers, B, H)."""
    sizes = port.dims or ()
    layers, H = (sizes[0] if len(sizes) == 3 else 1), (sizes[-1] if sizes else 0)
    if len(sizes) not in (2, 3) or not (isinstance(layers, int) and isinstance(H, int) and layers > 0 and H > 0):
        raise Refusal(f"input {port.name!r}", expected="a state (B, H) or (layers, B, H)", got=f"the shape {sizes}")
    name = trace.layers.add(port.name, Draft("state", (), layers * H, source=f"input {port.name!r}"))
    dims: Dims = ((BATCH,), features(H))
    trace.states.append(port.name)
    return Traced(name, layers * H, dims if len(sizes) == 2 else (joined([Atom("features", layers, H)]), *dims))


def _read(trace: Trace, port: GraphInput, batch_first: bool) -> Traced:
    """What the model reads: tokens, or numbers."""
    sizes = port.dims or ()
    if len(sizes) not in (2, 3) or not port.dtype:
        expected = "tokens (B, T) or numbers (B, T, D), or with time first"
        raise Refusal(f"input {port.name!r}", expected=expected, got=f"the shape {sizes}")
    axes = (BATCH, TIME) if batch_first else (TIME, BATCH)
    fixed = {atom.axis: size for atom, size in zip(axes, sizes, strict=False) if isinstance(size, int) and size > 0}
    trace.known |= fixed
    if fixed:
        said = " of ".join(f"{size} {'rows' if axis == 'batch' else 'steps'}" for axis, size in fixed.items())
        trace.notes.append(f"the graph takes {said} alone; the imported model takes any number")
    if len(sizes) == 2:
        return Traced(INPUT, None, tuple((atom,) for atom in axes))
    size = sizes[2]
    if not isinstance(size, int) or size < 1:
        raise Refusal(f"input {port.name!r}", expected="a fixed number of features", got=size or "an open one")
    return Traced(INPUT, size, (*((atom,) for atom in axes), features(size)))
