"""What traces a native recurrence sees one operator, whatever T is."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from elman.kernels.native import IN_CORE, instruction_set, operator
from elman.nn import GRU, LSTM, Elman

pytestmark = pytest.mark.skipif(instruction_set() is None, reason="the native kernels are not built")
# From 2.14 on, torch's opcheck traces copies of its inputs, and tracing reads the .grad of a copy. torch does not show
# what that warns of, but where warnings are errors it is raised all the same.
copies_are_traced = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning:torch._subclasses.meta_utils"
)
LAYERS = {"elman": Elman, "gru": GRU, "lstm": LSTM}
VARIATIONS = {
    "elman": {"zoneout": 0.2, "layer_norm": True},
    "gru": {"layer_norm": True, "recurrent_dropout": 0.3},
    "lstm": {"proj_size": 4, "peepholes": True, "zoneout": 0.1, "zoneout_cell": 0.2, "layer_norm": True},
}
every_layer = pytest.mark.parametrize(("kind", "options"), [(k, o) for k in LAYERS for o in ({}, VARIATIONS[k])])


def arguments(cell: str, biases: bool, masked: bool, dtype: torch.dtype = torch.float32) -> list[object]:
    torch.manual_seed(0)
    T, B, D, H = 4, 3, 2, 5
    G = {"gru": 3, "lstm": 4}.get(cell, 1) * H
    number = torch.float32 if dtype == torch.bfloat16 else dtype

    def draw(*shape: int, dtype: torch.dtype = number) -> Tensor:
        return torch.randn(shape, dtype=dtype, requires_grad=True)

    c = draw(B, H) if cell == "lstm" else None
    bias = [draw(G), draw(G)] if biases else [None, None]
    masks = [torch.tensor([4, 0, 2]), torch.rand(T, B) < 0.3] if masked else [None, None]
    plain = [draw(T, B, D, dtype=dtype), draw(B, H), c, draw(G, D, dtype=dtype), draw(G, H), *bias]
    return [*plain, *[None] * 6, *masks, *[None] * 3]


def varied_arguments(cell: str) -> list[object]:
    """With all that a cell can have."""
    given = arguments(cell, True, True, torch.float64)
    T, B, G, H, P = 4, 3, {"gru": 3, "lstm": 4}.get(cell, 1) * 5, 5, 3 if cell == "lstm" else 5
    draw = partial(torch.randn, dtype=torch.float64, requires_grad=True)
    given[1], given[4] = draw(B, P), draw(G, P)
    if cell == "lstm":
        given[7:9], given[11:13] = [draw(P, H), draw(3 * H)], [draw(H), draw(H)]
    given[9:11] = [draw(G), draw(G)]
    noise = [torch.rand(B, P), torch.rand(T, B, P), torch.rand(1, 1, H).expand(T, B, H) if cell == "lstm" else None]
    given[15:] = [None if part is None else part.double() for part in noise]
    return given


@copies_are_traced
@pytest.mark.parametrize("cell", IN_CORE)
@pytest.mark.parametrize(("biases", "masked", "reverse"), [(True, True, True), (False, False, False)])
def test_the_operator_is_what_it_says(cell: str, biases: bool, masked: bool, reverse: bool) -> None:
    given = (*arguments(cell, biases, masked, torch.float64), cell, reverse, True)
    torch.library.opcheck(operator.read, given)


@copies_are_traced
@pytest.mark.parametrize("cell", IN_CORE)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_operator_is_what_it_says_of_varied_cells(cell: str, reverse: bool) -> None:
    torch.library.opcheck(operator.read, (*varied_arguments(cell), cell, reverse, True))


@every_layer
def test_compiling_breaks_no_graph_and_does_not_unroll(kind: str, options: dict[str, Any]) -> None:
    layer = LAYERS[kind](3, 6, num_layers=2, bidirectional=True, batch_first=True, **options).eval()
    nodes = []

    def count(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        nodes.append(len(graph.graph.nodes))
        return graph

    for T in (3, 40):
        torch._dynamo.reset()
        x = torch.randn(2, T, 3)
        lengths, resets = torch.tensor([T, 1]), torch.rand(2, T) < 0.2
        compiled = torch.compile(layer, fullgraph=True, backend=count, dynamic=False)
        outputs, _ = compiled(x, lengths=lengths, resets=resets)
        torch.testing.assert_close(outputs, layer(x, lengths=lengths, resets=resets)[0])
    assert nodes[0] == nodes[1]


@every_layer
def test_gradients_through_the_compiler(kind: str, options: dict[str, Any]) -> None:
    layer = LAYERS[kind](3, 6, **options).eval()
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    gradients = []
    for module in (layer, compiled):
        x = torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
        outputs, _ = module(x)
        gradients.append(torch.autograd.grad(outputs.square().sum(), [x, *layer.parameters()]))
    torch.testing.assert_close(*gradients)


class Reader(nn.Module):
    """A whole call, its state an input and an output."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, state: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, object]:
        return self.layer(x, state)


@every_layer
@pytest.mark.parametrize("bidirectional", [False, True])
def test_exporting_with_any_number_of_steps_and_rows(kind: str, options: dict[str, Any], bidirectional: bool) -> None:
    layer = LAYERS[kind](3, 6, bidirectional=bidirectional, **options).eval()
    L, P = 2 if bidirectional else 1, layer.output_size

    def inputs(T: int, B: int) -> tuple[Tensor, object]:
        h = torch.randn(L, B, P)
        return torch.randn(T, B, 3), ((h, torch.randn(L, B, 6)) if kind == "lstm" else h)

    time, batch = torch.export.Dim("time", max=10_000), torch.export.Dim("batch", max=1_000)
    state_dims = {1: batch}
    dims = ({0: time, 1: batch}, (state_dims, state_dims) if kind == "lstm" else state_dims)
    program = torch.export.export(Reader(layer), inputs(5, 4), dynamic_shapes=dims)
    for T, B in ((5, 4), (1, 1), (33, 7)):
        given = inputs(T, B)
        torch.testing.assert_close(program.module()(*given), layer(*given))
