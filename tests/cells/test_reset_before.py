"""A GRU whose reset gate acts before the matmul, as its paper has it: `GRU(reset_after=False)`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from elman.cells import cell_named
from elman.errors import UserError
from elman.lens import read_gates, visit_layers
from elman.nn import GRU, GRUCell

F64 = torch.float64


def naive(layer: GRU, x: Tensor, h: Tensor) -> Tensor:
    """h_t after each step, from the equations of Cho et al.: x (T, B, D), h (B, H) -> (T, B, H)."""
    w_r, w_z, w_n = layer.weight_ih_l0.split(h.shape[1])
    u_r, u_z, u_n = layer.weight_hh_l0.split(h.shape[1])
    b_r, b_z, b_n = (layer.bias_ih_l0 + layer.bias_hh_l0).split(h.shape[1])
    found = []
    for now in x:
        r = torch.sigmoid(now @ w_r.T + h @ u_r.T + b_r)
        z = torch.sigmoid(now @ w_z.T + h @ u_z.T + b_z)
        n = torch.tanh(now @ w_n.T + (r * h) @ u_n.T + b_n)
        h = z * h + (1 - z) * n
        found.append(h)
    return torch.stack(found)


@pytest.mark.parametrize("T", [1, 7, 33])
@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("H", [5, 64])
def test_it_is_the_paper_s_with_all_gradients(T: int, B: int, H: int) -> None:
    torch.manual_seed(0)
    layer = GRU(4, H, reset_after=False, dtype=F64)
    x, h = torch.randn(T, B, 4, dtype=F64, requires_grad=True), torch.randn(1, B, H, dtype=F64, requires_grad=True)
    inputs = (x, h, *layer.parameters())
    weight = torch.randn(T, B, H, dtype=F64)
    results = []
    for outputs in (layer(x, h)[0], naive(layer, x, h[0])):
        results.append((outputs, *torch.autograd.grad((outputs * weight).sum(), inputs)))
    torch.testing.assert_close(*results, atol=1e-10, rtol=1e-10)


def test_the_two_kinds_differ_by_the_recurrent_product_of_n_alone() -> None:
    torch.manual_seed(0)
    before, after = GRU(3, 4, reset_after=False), GRU(3, 4)
    after.load_state_dict(before.state_dict())
    x = torch.randn(5, 2, 3)
    assert (before(x)[0] - after(x)[0]).abs().max() > 0.01
    with torch.no_grad():
        for layer in (before, after):
            layer.weight_hh_l0[8:] = 0  # of n: without a recurrent product the order of reset and product is no matter
            layer.bias_hh_l0[8:] = 0
    torch.testing.assert_close(before(x)[0], after(x)[0])


def test_pieces_lengths_resets_directions_and_single_steps() -> None:
    torch.manual_seed(0)
    layer = GRU(3, 4, 2, bidirectional=True, reset_after=False, dtype=F64)
    x, lengths = torch.randn(7, 3, 3, dtype=F64), [7, 0, 1]
    outputs, state = layer(x, lengths=lengths)
    for row, length in enumerate(lengths):
        alone, final = layer(x[:length, row : row + 1])
        torch.testing.assert_close(outputs[:length, row : row + 1], alone)
        torch.testing.assert_close(state[:, row : row + 1], final)
    one = GRU(3, 4, reset_after=False, dtype=F64)
    step = GRUCell(3, 4, reset_after=False, dtype=F64)
    step.load_state_dict({name.removesuffix("_l0"): part for name, part in one.state_dict().items()})
    h = torch.randn(3, 4, dtype=F64)
    expected = []
    for now in x:
        h = step(now, h) if expected else step(now)
        expected.append(h)
    torch.testing.assert_close(one(x)[0], torch.stack(expected))


@pytest.mark.parametrize("backend", ["native", "torch", "scan"])
@pytest.mark.parametrize("T", [1, 3])
def test_a_backend_that_is_asked_for_by_name_refuses(backend: str, T: int) -> None:
    layer = GRU(3, 4, reset_after=False, backend=backend)
    with torch.no_grad(), pytest.raises(UserError, match=f"'{backend}' cannot serve this gru_reset_before call on cpu"):
        layer(torch.zeros(T, 1, 3))


@pytest.mark.parametrize("option", [{"layer_norm": True}, {"recurrent_dropout": 0.1}])
def test_options_of_a_single_product_are_refused(option: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=rf"^{next(iter(option))}: a GRU with reset_after=False has none$"):
        GRU(3, 4, reset_after=False, **option)
    GRU(3, 4, **option)


def test_what_it_is_called() -> None:
    layer = GRU(3, 4, reset_after=False)
    assert (layer.cell, layer.mode) == ("gru_reset_before", "GRU_RESET_BEFORE")
    assert repr(layer) == "GRU(3, 4, reset_after=False)"
    assert repr(GRU(3, 4)) == "GRU(3, 4)"
    assert cell_named("gru_reset_before").gates == cell_named("gru").gates
    with pytest.raises(TypeError, match="reset_after should be of type bool"):
        GRU(3, 4, reset_after="before")


def test_its_gates_are_read() -> None:
    torch.manual_seed(0)
    layer = GRU(3, 4, reset_after=False)
    with torch.no_grad():
        layer.bias_ih_l0[4:8] = 9.0
    x = torch.randn(5, 2, 3)
    (visit,) = visit_layers(layer, lambda: layer(x))
    gates = read_gates(visit)
    assert (gates.open["z"] == 1).all()
    assert (gates.open["r"] < 1).all()
