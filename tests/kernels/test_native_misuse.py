"""Calls in which a native recurrence could be handed what it must not touch, or be asked for what it must not tell."""

from __future__ import annotations

import copy
import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from elman.cells import CELLS
from elman.kernels.native import IN_CORE, instruction_set, kernel_of, options
from elman.kernels.native.library import CELLS_OF_CORE
from elman.kernels.reference import kernel_of as REFERENCE
from elman.kernels.seam import Weights
from elman.nn import GRU, LSTM, Elman

pytestmark = pytest.mark.skipif(instruction_set() is None, reason="the native kernels are not built")
LAYERS = {"elman": Elman, "gru": GRU, "lstm": LSTM}


@pytest.mark.parametrize("kind", LAYERS)
def test_two_calls_in_a_row_have_the_gradients_of_one_graph(kind: str) -> None:
    """With create_graph each call derives by its own inputs: the first call's part comes from the first call."""
    layer = LAYERS[kind](3, 5, num_layers=2, dtype=torch.float64)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    first, state = layer(x[:2])
    second, _ = layer(x[2:], state)
    loss = first.square().sum() + second.square().sum()
    plain = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(loss, list(layer.parameters()), create_graph=True), plain)


def test_autocast_leaves_float64_alone_and_its_mixtures_are_refused() -> None:
    layer = LSTM(3, 64, dtype=torch.float64)
    x = torch.randn(6, 32, 3, dtype=torch.float64)
    weights = Weights(*(p.detach() for p in layer.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x)[0].dtype == torch.float64
        with pytest.raises(ValueError, match=r"initial h: expected torch\.float64"):
            kernel_of("lstm")(x, (torch.zeros(32, 64), torch.zeros(32, 64)), weights)


class Outputs(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


@pytest.mark.parametrize("kind", LAYERS)
def test_an_exported_program_under_autocast(kind: str) -> None:
    model, x = Outputs(LAYERS[kind](3, 64)), torch.randn(5, 2, 3)
    with torch.no_grad():
        program = torch.export.export(model, (x,)).module()
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(program(x), model(x).float(), atol=0.02, rtol=0)


def test_what_was_traced_without_gradients_has_none() -> None:
    model, x = Outputs(GRU(3, 4)), torch.randn(5, 2, 3)
    with torch.no_grad():
        program = torch.export.export(model, (x,)).module()
    with pytest.raises(RuntimeError, match="trace with gradients"):
        program(x.requires_grad_()).sum().backward()


@pytest.mark.parametrize("kind", LAYERS)
def test_derivatives_in_forward_mode_are_those_of_the_reference_compiled_or_not(kind: str) -> None:
    layer, x, t = LAYERS[kind](3, 5), torch.randn(4, 2, 3), torch.randn(4, 2, 3)

    def derivative(x: Tensor, t: Tensor) -> Tensor:
        return torch.func.jvp(lambda v: layer(v)[0], (x,), (t,))[1]

    torch._dynamo.reset()
    found = derivative(x, t)
    assert found.abs().max() > 0.01
    torch.testing.assert_close(torch.compile(derivative, backend="aot_eager")(x, t), found)


@pytest.mark.parametrize("kind", LAYERS)
def test_tensors_that_are_not_there(kind: str) -> None:
    with FakeTensorMode():
        outputs, _ = LAYERS[kind](3, 8)(torch.randn(4, 2, 3))
    assert outputs.shape == (4, 2, 8)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_recorded_graph_computes(kind: str) -> None:
    layer = LAYERS[kind](3, 8).requires_grad_(False)
    graph = torch.fx.experimental.proxy_tensor.make_fx(lambda x: layer(x)[0])(torch.randn(4, 2, 3))
    x = torch.randn(4, 2, 3)
    torch.testing.assert_close(graph(x), layer(x)[0])


@pytest.mark.parametrize("cell", IN_CORE)
def test_biases_need_not_be_contiguous(cell: str) -> None:
    torch.manual_seed(0)
    G = len(IN_CORE[cell].rows) * 5
    state = (torch.zeros(2, 5),) * (2 if cell == "lstm" else 1)
    weights = Weights(torch.randn(G, 3), torch.randn(G, 5), torch.randn(G, 2)[:, 0], torch.full((1,), 0.3).expand(G))
    x = torch.randn(4, 2, 3)
    torch.testing.assert_close(kernel_of(cell)(x, state, weights).h, REFERENCE(cell)(x, state, weights).h)


def test_masks_that_are_changed_before_backward_are_noticed_or_do_not_matter() -> None:
    layer, x, lengths = GRU(3, 5), torch.randn(4, 2, 3), torch.tensor([4, 2])
    resets = torch.rand(2, 4) < 0.5
    expected = torch.autograd.grad(layer(x, lengths=lengths)[0].sum(), list(layer.parameters()))
    outputs, _ = layer(x, lengths=lengths)
    lengths.fill_(1)
    torch.testing.assert_close(torch.autograd.grad(outputs.sum(), list(layer.parameters())), expected)
    outputs, _ = layer(x, resets=resets)
    resets.logical_not_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def test_lengths_beyond_the_window_reach_nothing_when_compiled() -> None:
    layer = GRU(3, 5, bidirectional=True)
    torch._dynamo.reset()
    outputs, _ = torch.compile(layer, backend="aot_eager")(torch.randn(5, 2, 3), lengths=torch.tensor([500_000_000, 2]))
    outputs.sum().backward()
    assert outputs.isfinite().all()


def test_the_dtype_of_a_state_depends_on_nothing() -> None:
    layer = LSTM(3, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for B in (1, 8):
            _, (h, c) = layer(torch.randn(5, B, 3))
            assert h.dtype == c.dtype == torch.float32
    _, _, states = LSTM(3, 8, dtype=torch.bfloat16)(torch.randn(5, 2, 3).bfloat16(), return_states=True)
    assert [part.dtype for part in states] == [torch.bfloat16] * 2


@pytest.mark.parametrize("backend", ["native", "torch", "reference"])
def test_a_state_that_nothing_was_read_from_is_not_the_callers_own(backend: str) -> None:
    state = torch.ones(1, 2, 5)
    _, after = GRU(3, 5, backend=backend)(torch.randn(0, 2, 3), state)
    after.zero_()
    assert state.all()


@pytest.mark.parametrize("kind", LAYERS)
def test_a_copied_layer_reads_the_same(kind: str) -> None:
    layer, x = LAYERS[kind](3, 5), torch.randn(4, 2, 3)
    assert torch.equal(copy.deepcopy(layer)(x)[0], layer(x)[0])


def test_a_cell_of_a_number_that_the_core_does_not_know_is_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CELLS, "toy", replace(CELLS["lstm"], name="toy", native=len(CELLS_OF_CORE)))
    made_anew = runpy.run_path(options.__file__)  # all native ways look a cell up in these two
    assert made_anew["IN_CORE"].keys() == made_anew["NUMBERS"].keys() == options.IN_CORE.keys()


def test_the_numbers_of_cells_are_those_of_the_core() -> None:
    [kinds] = re.findall(r"enum CellKind : int32_t \{(.*?)\}", Path(options.__file__).with_name("sweep.h").read_text())
    assert [int(number) for number in re.findall(r"= (\d+)", kinds)] == list(CELLS_OF_CORE)
    assert sorted(options.NUMBERS.values()) == list(CELLS_OF_CORE)
