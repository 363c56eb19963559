"""Gates: what the readable formula gives must be what the layers compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import elman
from elman.errors import UserError
from elman.lens import read_gates, visit_layers
from elman.lens.gates import gates_of
from elman.models import LanguageModel

RECURRENT = ["elman", "gru", "lstm", "mingru", "slstm", "recomputed"]
VOCABULARY = 11

Make = Callable[..., LanguageModel]


def drawn(B: int, T: int) -> torch.Tensor:
    return torch.randint(VOCABULARY, (B, T), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["gru", "lstm", "recomputed"])
def test_the_gates_make_the_states(make: Make, name: str) -> None:
    """c_t = f c + i g and h_t = o tanh(c_t); h_t = (1 − z) n + z h: solved for what is no gate, in both."""
    model = make(name)
    tokens = drawn(3, 7)
    for visit in visit_layers(model, lambda: model.read(tokens)):
        gates = gates_of(visit)
        H = gates["f" if visit.cell == "lstm" else "z"].shape[-1]
        w = [weight.detach() for weight in visit.weights[:4]]
        if visit.cell == "lstm":
            part = slice(2 * H, 3 * H)
            g = torch.tanh(visit.inputs @ w[0][part].T + w[2][part] + visit.before[0] @ w[1][part].T + w[3][part])
            c = gates["f"] * visit.before[1] + gates["i"] * g
            torch.testing.assert_close(c, visit.after[1], rtol=0, atol=1e-12)
            torch.testing.assert_close(gates["o"] * torch.tanh(c), visit.after[0], rtol=0, atol=1e-12)
        else:
            part = slice(2 * H, 3 * H)
            inner = gates["r"] * (visit.before[0] @ w[1][part].T + w[3][part])
            n = torch.tanh(visit.inputs @ w[0][part].T + w[2][part] + inner)
            h = (1 - gates["z"]) * n + gates["z"] * visit.before[0]
            torch.testing.assert_close(h, visit.after[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["mingru", "slstm"])
def test_the_gates_of_xlstm_and_mingru_make_the_states(make: Make, name: str) -> None:
    """h = (1 − z) n + z h; and the same of what an sLSTM remembers, c / n, of which f stays, and o shows."""
    model = make(name)
    for visit in visit_layers(model, lambda: model.read(drawn(3, 7))):
        gates, weights, H = gates_of(visit), visit.weights, visit.after[0].shape[-1]
        sums = visit.inputs @ weights.weight_ih.T + weights.bias_ih
        if name == "mingru":
            kept, shown, memory, written = gates["z"], 1, visit.before[0], sums[..., H:]
        else:
            sums = sums + visit.before[0] @ weights.weight_hh.T + weights.bias_hh
            memory = visit.before[1] / visit.before[2].masked_fill(visit.before[2] == 0, 1)
            kept, shown, written = gates["f"], gates["o"], sums[..., 2 * H : 3 * H].tanh()
        h = shown * (kept * memory + (1 - kept) * written)
        torch.testing.assert_close(h, visit.after[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("names", [["peepholes"], ["layer_norm"], ["peepholes", "layer_norm"]], ids="+".join)
def test_the_gates_of_a_variation_make_its_states(names: list[str]) -> None:
    """h_t = o tanh(LN(c_t)) for what the layer itself says c_t is, and c_t = f c_{t−1} + i g."""
    torch.manual_seed(0)
    layer = elman.nn.LSTM(3, 4, dtype=torch.float64, **dict.fromkeys(names, True))
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.6)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    [visit] = visit_layers(layer, lambda: layer(x))
    with torch.no_grad():
        gates = gates_of(visit)
        (h, c), w = visit.before, visit.weights
        u, v = visit.inputs @ w.weight_ih.T, h @ w.weight_hh.T
        if "layer_norm" in names:
            u = nn.functional.layer_norm(u, (16,)) * w.gain_ih
            v = nn.functional.layer_norm(v, (16,)) * w.gain_hh
        g = (u + w.bias_ih + v + w.bias_hh)[..., 8:12].tanh()
        torch.testing.assert_close(gates["f"] * c + gates["i"] * g, visit.after[1], rtol=0, atol=1e-12)
        seen = visit.after[1]
        if "layer_norm" in names:
            seen = nn.functional.layer_norm(seen, (4,)) * w.gain_cell + w.bias_cell
        torch.testing.assert_close(gates["o"] * seen.tanh(), visit.after[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", RECURRENT)
def test_states_are_those_of_reading_token_by_token(make: Make, name: str) -> None:
    model = make(name).eval()
    tokens = drawn(2, 6)
    _, state = model.read(drawn(2, 3))
    visits = visit_layers(model, lambda: model.read(tokens, state))
    for t in range(6):
        for visit, memory in zip(visits, state, strict=True):
            for part, leaf in zip(visit.before, (memory,) if isinstance(memory, torch.Tensor) else memory, strict=True):
                torch.testing.assert_close(part[t], leaf, rtol=0, atol=1e-12)
        _, state = model.read(tokens[:, t : t + 1], state)


def test_a_reset_is_before_the_step(make: Make) -> None:
    model = make("lstm")
    resets = torch.zeros(2, 6, dtype=torch.bool)
    resets[1, 3] = True
    [first, _] = visit_layers(model, lambda: model.read(drawn(2, 6), resets=resets))
    assert not first.before[0][3, 1].any()
    assert first.before[0][3, 0].any()


def test_a_users_own_model_of_our_layers() -> None:
    torch.manual_seed(0)
    layer = elman.nn.LSTM(3, 4, num_layers=2, batch_first=True)
    own = nn.Sequential(nn.Linear(3, 3), layer)
    x = torch.randn(2, 5, 3)
    visits = visit_layers(own, lambda: own(x))
    assert [visit.name for visit in visits] == ["layer 1", "layer 2"]
    torch.testing.assert_close(visits[1].after[0].transpose(0, 1), own(x)[0])
    torch.testing.assert_close(visits[1].inputs, visits[0].after[0])
    assert read_gates(visits[1]).mean["f"].shape == (4,)
    assert own.training


def test_what_cannot_be_visited() -> None:
    linear = nn.Linear(2, 2)
    with pytest.raises(UserError, match="no recurrent layer"):
        visit_layers(linear, lambda: linear(torch.zeros(1, 2)))
    for cell in (nn.GRUCell(2, 2), elman.nn.LSTMCell(2, 2)):
        with pytest.raises(UserError, match=r"no recurrent layer.*; one-step cells, as LSTMCell, are not visited"):
            visit_layers(cell, lambda cell=cell: cell(torch.zeros(1, 2)))
    layer = nn.GRU(2, 2)
    with pytest.raises(UserError, match=r"batches of one size, each time that `read` calls it, got sizes \[1, 2\]"):
        visit_layers(layer, lambda: [layer(torch.zeros(3, B, 2)) for B in (1, 2)])


def test_elmans_network_has_no_gates(make: Make) -> None:
    model = make("elman")
    [first, _] = visit_layers(model, lambda: model.read(drawn(1, 3)))
    with pytest.raises(UserError, match="layer 1 has no gates: expected GRU or LSTM"):
        read_gates(first)


@settings(deadline=None, max_examples=30)
@given(tau=st.floats(0.5, 500.0))
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_constant_gate_has_its_time_scale(cell: str, tau: float) -> None:
    """A unit whose gate is f = exp(−1/τ) all the time remembers for τ steps, and saturation is counted by hand."""
    layer = getattr(elman.nn, cell.upper())(1, 2)
    keep = float(np.exp(-1 / tau))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[2:4] = float(np.log(keep / (1 - keep)))  # f, or z
    x = torch.zeros(5, 3, 1)
    [visit] = visit_layers(layer, lambda: layer(x))
    gates = read_gates(replace(visit, weights=visit.weights))
    gate = "f" if cell == "lstm" else "z"
    np.testing.assert_allclose(gates.time_scale, tau, rtol=1e-3)
    np.testing.assert_allclose(gates.open[gate], float(keep > 0.9))
    np.testing.assert_allclose(gates.shut[gate], 0.0 if keep >= 0.1 else 1.0)
    np.testing.assert_allclose(gates.mean[gate], keep, rtol=1e-5)
    assert gates.saturated(gate) == pytest.approx(float(keep > 0.9 or keep < 0.1))


@pytest.mark.parametrize("begins", [[0], [0, 3]])
def test_a_fresh_slstm_has_forgotten_nothing(begins: list[int]) -> None:
    """With f = sigmoid(1) and i = 1, n is a geometric series from each beginning, and f n_{t−1} / n_t stays."""
    layer = elman.nn.layer_of("slstm")(1, 2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[2:4] = 1
    x, resets = torch.zeros(6, 1, 1), torch.tensor([[t in begins for t in range(6)]])
    f, n, kept = 1 / (1 + np.exp(-1)), 0.0, []
    for t in range(6):
        if t in begins:
            n = 1.0
        else:
            kept.append(f * n / (f * n + 1))
            n = f * n + 1
    [visit] = visit_layers(layer, lambda: layer(x, resets=resets))
    gates = read_gates(visit)
    np.testing.assert_allclose(gates.time_scale, -1 / np.log(kept).mean(), rtol=1e-4)
    np.testing.assert_allclose(gates.mean["f"], np.mean(kept), rtol=1e-5)
    np.testing.assert_array_equal(gates.shut["f"], 0)
    [visit] = visit_layers(layer, lambda: layer(x[:1]))
    np.testing.assert_array_equal(read_gates(visit).shut["f"], 1)  # there are no other steps
