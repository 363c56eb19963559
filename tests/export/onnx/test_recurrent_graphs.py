"""Every recurrent layer as a graph, in onnxruntime, against the layer itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from elman.cells import CELLS, cell_named
from elman.export.onnx.graph import Graph
from elman.export.onnx.recurrent import read_layer
from elman.nn import Recurrent, layer_of

onnxruntime = pytest.importorskip("onnxruntime")
D, H = 3, 5


def session_of(graph: Graph) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        graph.model({}).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def drawn(layer: Recurrent, *, lengths: bool, fresh: bool) -> Graph:
    """The graph of a layer, time first."""
    cell = cell_named(layer.cell)
    graph = Graph("layer", layer)
    x = graph.input("x", "float32", ["time", "batch", D])
    ends = graph.input("lengths", "int64", ["batch"]) if lengths else None
    sizes = [
        size
        for units in layer.hidden_sizes
        for _ in range(layer.num_directions)
        for size in cell.sizes(units, layer.proj_size or units)
    ]
    state = None if fresh else [graph.state(["batch", size]) for size in sizes]
    y, finals = read_layer(graph, layer, x, state, ends)
    graph.output("y", y, ["time", "batch", layer.output_size * layer.num_directions])
    for value, size in zip(finals, sizes, strict=True):
        graph.next_state(value, ["batch", size])
    return graph


def in_order(layer: Recurrent, hx: Any) -> list[np.ndarray]:
    """The states of a layer as the graph has them: each cell's together."""
    return [part.numpy() for cell in layer.state_form.cells(layer.state_form.flat(hx, "layer")) for part in cell]


VARIATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "without biases": {"bias": False},
    "two layers": {"num_layers": 2},
    "of other sizes": {"hidden_size": [H, 4]},
    "both directions": {"bidirectional": True, "num_layers": 2},
    "layer norm": {"layer_norm": True},
    "layer norm, both directions": {"layer_norm": True, "bidirectional": True},
    "zoneout": {"zoneout": 0.3},
    "peepholes": {"peepholes": True},
    "peepholes, both directions": {"peepholes": True, "bidirectional": True},
    "zoneout of both": {"zoneout": 0.1, "zoneout_cell": 0.4},
    "projection": {"proj_size": 2},
    "relu": {"nonlinearity": "relu"},
    "relu, both directions": {"nonlinearity": "relu", "bidirectional": True},
    "reset before": {"reset_after": False},
    "reset before, both directions": {"reset_after": False, "bidirectional": True},
    "exponential": {"forget_gate": "exponential"},
}
CASES = [
    (cell, variation)
    for cell in CELLS
    for variation, options in VARIATIONS.items()
    if options.keys() <= layer_of(cell).defaults.keys()
]


@pytest.mark.parametrize(("cell", "variation"), CASES)
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
def test_layers(cell: str, variation: str, lengths: bool) -> None:
    torch.manual_seed(1)
    layer = layer_of(cell)(**{"input_size": D, "hidden_size": H} | VARIATIONS[variation]).eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    session = session_of(drawn(layer, lengths=lengths, fresh=False))
    names = [output.name for output in session.get_outputs()]
    for B, T in ((3, 7), (1, 1), (2, 33), (4, 2)):
        x = torch.randn(3 * T, B, D)
        with torch.no_grad():
            hx = layer(torch.randn(2, B, D))[1]
        states = {f"state_{n}": part for n, part in enumerate(in_order(layer, hx))}
        for piece in x.split(T):
            feeds = {"x": piece.numpy()}
            ends = torch.randint(0, T + 1, (B,)) if lengths else None
            if ends is not None:
                feeds["lengths"] = ends.numpy()
            with torch.no_grad():
                y, hx = layer(piece, hx, lengths=ends)
            found = dict(zip(names, session.run(None, feeds | states), strict=True))
            states = {f"state_{n}": found[f"next_state_{n}"] for n in range(len(states))}
            np.testing.assert_allclose(found["y"], y.numpy(), rtol=1e-5, atol=1e-5)
            for theirs, ours in zip(states.values(), in_order(layer, hx), strict=True):
                np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_fresh_state_and_padding_that_is_no_number(cell: str) -> None:
    torch.manual_seed(1)
    layer = layer_of(cell)(D, H, bidirectional=True).eval()
    session = session_of(drawn(layer, lengths=True, fresh=True))
    x, ends = torch.randn(6, 3, D), torch.tensor([6, 0, 2])
    x[2:, 2], x[:, 1] = torch.nan, torch.inf
    with torch.no_grad():
        y, hx = layer(x, lengths=ends)
    found = session.run(None, {"x": x.numpy(), "lengths": ends.numpy()})
    for theirs, ours in zip(found, [y.numpy(), *in_order(layer, hx)], strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-6)


def test_plain_cells_are_operators_without_options() -> None:
    """The form that was right in every runtime: in both directions or forward, with B and initial states, no extras."""
    for cell in ("elman", "gru", "lstm"):
        for both in (False, True):
            layer = layer_of(cell)(D, H, bidirectional=both, bias=False)
            nodes = drawn(layer, lengths=False, fresh=False).nodes
            [node] = [node for node in nodes if node.op_type in ("RNN", "GRU", "LSTM")]
            states = len(cell_named(cell).states)
            assert [bool(name) for name in node.input] == [True] * 4 + [False] + [True] * states
            assert len(node.output) == 1 + states
            allowed = {"hidden_size", *["linear_before_reset"] * (cell == "gru"), *["direction"] * both}
            assert {attribute.name for attribute in node.attribute} == allowed
