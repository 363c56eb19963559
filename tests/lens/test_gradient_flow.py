"""Against a slow, plain autograd computation in float64, one row and one lag at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import elman.nn
from elman.errors import UserError
from elman.lens import Intervention, gradient_flow, hold, window_lags
from elman.models import MODELS, LanguageModel
from elman.models.recurrent import RecurrentLM
from elman.state import leaves, map_state, select_rows

MODELS_TRIED = ["elman", "gru", "lstm", "mingru", "slstm", "recomputed", "rotary", "sinusoidal", "window"]
RECURRENT = ["elman", "gru", "lstm", "mingru", "slstm", "recomputed"]
VOCABULARY = 11

Make = Callable[..., LanguageModel]
every_model = pytest.mark.parametrize("name", MODELS_TRIED)


def drawn(B: int, T: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(VOCABULARY, (B, T), generator=torch.Generator().manual_seed(seed))


def plain_memory_gradients(model, tokens, target, lag):
    """∂L_T/∂s_{T−k} of one row: read up to there, take the memory for a variable, read the rest."""
    T = tokens.shape[1]
    with torch.no_grad():
        _, state = model(tokens[:, : T - lag])
    state = map_state(lambda x: x.clone().requires_grad_(), state)
    logits, _ = model(tokens[:, T - lag :], state)
    F.cross_entropy(logits[:, -1], target).backward()
    return [leaf.grad.norm().item() for leaf in leaves(state)]


class Vectors(torch.nn.Module):
    """In place of an embedding: gives what it was given, in the layout of the tokens."""

    def __init__(self, vectors):
        super().__init__()
        self.vectors = vectors
        self.weight = torch.empty(0, dtype=vectors.dtype)  # asked for its dtype

    def forward(self, tokens):
        return self.vectors.view(*tokens.shape, -1)


def plain_input_gradients(model, tokens, target, state=None):
    """‖∂L_T/∂x_t‖ of one row, for every t."""
    embedding = model.embedding
    vectors = embedding.weight.detach()[tokens[0]].clone().requires_grad_()  # (T, D)
    model.embedding = Vectors(vectors)
    try:
        logits, _ = model(tokens, state)
    finally:
        model.embedding = embedding
    F.cross_entropy(logits[:, -1], target).backward()
    return vectors.grad.norm(dim=-1).tolist()


@every_model
def test_it_equals_plain_autograd(make: Make, name: str) -> None:
    model = make(name)
    tokens, targets = drawn(3, 13), drawn(3, 1, seed=2)[:, 0]
    flow = gradient_flow(model, tokens, targets)
    model.eval()
    for row in range(3):
        one, target = tokens[row : row + 1], targets[row : row + 1]
        expected = plain_input_gradients(model, one, target)
        np.testing.assert_allclose(flow.input.norms[:, row], expected[::-1], rtol=1e-8, atol=1e-14)
        if name in RECURRENT:
            for lag in range(1, 13):
                expected = plain_memory_gradients(model, one, target, lag)
                found = [part.norms[lag - 1, row] for part in flow.memory]
                np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-14)
    assert bool(flow.memory) == (name in RECURRENT)


@every_model
def test_it_goes_on_from_a_memory(make: Make, name: str) -> None:
    model = make(name).eval()
    past, tokens, targets = drawn(2, 7, seed=3), drawn(2, 6), drawn(2, 1, seed=2)[:, 0]
    _, state = model(past)
    flow = gradient_flow(model, tokens, targets, state)
    for row in range(2):
        one = select_rows(map_state(torch.Tensor.detach, state), torch.tensor([row]))
        expected = plain_input_gradients(model, tokens[row : row + 1], targets[row : row + 1], one)
        np.testing.assert_allclose(flow.input.norms[:, row], expected[::-1], rtol=1e-8, atol=1e-14)


@every_model
def test_no_gradient_crosses_a_border(make: Make, name: str) -> None:
    """Up to the border the document is as if it were read alone; beyond it the gradient is zero and nothing else."""
    model = make(name)
    past, tokens, targets = drawn(2, 7, seed=3), drawn(2, 13), drawn(2, 1, seed=2)[:, 0]
    resets = torch.zeros(2, 13, dtype=torch.bool)
    resets[:, 9], resets[1, 4] = True, True  # the last 4 tokens are a document
    with torch.no_grad():
        _, state = model.eval().read(past)
    flow = gradient_flow(model, tokens, targets, state, resets=resets)
    alone = gradient_flow(model, tokens[:, 9:], targets)
    np.testing.assert_allclose(flow.input.norms[:4], alone.input.norms, rtol=1e-9)
    assert (flow.input.norms[:4] > 0).all()
    assert (flow.input.norms[4:] == 0).all()
    for found, expected in zip(flow.memory, alone.memory, strict=True):
        np.testing.assert_allclose(found.norms[:3], expected.norms, rtol=1e-9)
        assert (found.norms[3:] == 0).all()


class Own(RecurrentLM):
    """A model of somebody's own, which the lens reads a token at a time."""


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("elman", {"layer_norm": True, "zoneout": 0.2}),
        ("gru", {"layer_norm": True, "zoneout": 0.2, "dropout_hidden": 0.5}),
        ("lstm", {"layer_norm": True, "zoneout": 0.1, "zoneout_cell": 0.3, "peepholes": True, "weight_dropout": 0.5}),
        ("slstm", {"zoneout": 0.2}),
        ("mingru", {"residual": True}),
    ],
)
def test_one_read_of_all_steps_equals_a_token_at_a_time(make: Make, name: str, options: Any, masked: bool) -> None:
    model = make(name, **options)
    if name != "mingru":
        state = "c" if name in ("lstm", "slstm") else "h"
        model = hold(model, [Intervention(layer=2, state=state, unit=1, value=0.3)])
    tokens, targets, resets = drawn(2, 13), drawn(2, 1, seed=2)[:, 0], torch.zeros(2, 13, dtype=torch.bool)
    resets[0, 6] = masked
    found = gradient_flow(model, tokens, targets, resets=resets)
    model.__class__ = Own
    expected = gradient_flow(model, tokens, targets, resets=resets)
    assert [flow.name for flow in found.memory] == [flow.name for flow in expected.memory]
    for flow, plain in zip((found.input, *found.memory), (expected.input, *expected.memory), strict=True):
        np.testing.assert_array_equal(flow.lags, plain.lags)
        np.testing.assert_allclose(flow.norms, plain.norms, rtol=1e-9, atol=1e-15)


def test_it_equals_the_textbook_recurrence(make: Make) -> None:
    """One layer of Elman's network by hand: the product of Jacobians diag(1 − h²) W."""
    model = make("elman", num_layers=1)
    tokens, targets = drawn(1, 9), drawn(1, 1, seed=2)[:, 0]
    p = {key: value.detach() for key, value in model.named_parameters()}
    h, jacobians = torch.zeros(8, dtype=torch.float64), []
    for token in tokens[0]:
        x = p["embedding.weight"][token]
        sums = p["layers.0.weight_ih_l0"] @ x + p["layers.0.weight_hh_l0"] @ h
        h = torch.tanh(sums + p["layers.0.bias_ih_l0"] + p["layers.0.bias_hh_l0"])
        jacobians.append((1 - h**2)[:, None] * p["layers.0.weight_hh_l0"])
    logits = p["decoder.weight"] @ h + p["decoder.bias"]
    g = p["decoder.weight"].T @ (logits.softmax(0) - F.one_hot(targets[0], VOCABULARY))
    flow = gradient_flow(model, tokens, targets)
    for lag in range(1, 9):
        g = jacobians[-lag].T @ g
        assert flow.memory[0].norms[lag - 1, 0] == pytest.approx(g.norm().item(), rel=1e-8)


@every_model
def test_the_model_is_left_as_it_was(make: Make, name: str) -> None:
    model = make(name).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    gradient_flow(model, drawn(2, 5), drawn(2, 1)[:, 0])
    assert model.training
    assert all(part.training for part in model.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_names_and_lags(make: Make) -> None:
    flow = gradient_flow(make("lstm"), drawn(2, 5), drawn(2, 1)[:, 0])
    assert [part.name for part in flow.memory] == ["layer 1 h", "layer 1 c", "layer 2 h", "layer 2 c"]
    assert flow.input.lags.tolist() == [0, 1, 2, 3, 4]
    assert flow.memory[0].lags.tolist() == [1, 2, 3, 4]
    assert flow.input.quantile(0.5).shape == (5,)


@pytest.mark.parametrize("layer", ["Elman", "LSTM", "SLSTM"])
def test_every_state_of_a_layer_has_its_flow(layer: str) -> None:
    torch.manual_seed(0)
    recurrent = getattr(elman.nn, layer)(3, 4, num_layers=2).double()
    x = torch.randn(6, 1, 3, dtype=torch.float64)
    loss = lambda made, _: made[-1].square().sum()  # noqa: E731
    read = lambda row: recurrent(row.transpose(0, 1))[0]  # noqa: E731
    found = gradient_flow(recurrent, x.transpose(0, 1), [0], read=read, loss=loss)
    letters = {"Elman": "h", "LSTM": "hc", "SLSTM": "hcnm"}[layer]
    assert [flow.name for flow in found.memory] == [f"layer {n} {letter}" for n in (1, 2) for letter in letters]
    before = map_state(lambda part: part.detach().requires_grad_(), recurrent(x[:5])[1])  # the memory at lag 1
    wanted = torch.autograd.grad(loss(recurrent(x[5:], before)[0], None), list(leaves(before)))
    for flow in found.memory:
        number, letter = int(flow.name.split()[1]), flow.name[-1]
        expected = wanted[letters.index(letter)][number - 1].norm()
        assert flow.norms[0, 0] == pytest.approx(float(expected), rel=1e-9)


def test_a_window_bounds_what_a_transformer_sees(make: Make) -> None:
    flow = gradient_flow(make("window"), drawn(2, 20), drawn(2, 1)[:, 0])
    assert (flow.input.norms[:9] > 0).all()  # two layers of a window of 5: 2 * 4 steps back
    assert (flow.input.norms[9:] == 0).all()


@pytest.mark.parametrize(("window", "layers"), [(5, 2), (3, 3), (2, 2), (1, 2)])
def test_from_each_of_the_windows_lags_on_it_takes_a_layer_more(make: Make, window: int, layers: int) -> None:
    """Where only some layers attend, nothing arrives from the lag on that takes one more."""
    lags = window_lags(window, layers)
    for attending in range(1, layers + 1):
        model = make("window", window=window, num_layers=layers)
        for layer in model.get_submodule("layers")[attending:]:
            torch.nn.init.zeros_(layer.attention.out.weight)
        norms = gradient_flow(model, drawn(2, 20), drawn(2, 1)[:, 0]).input.norms
        falls = lags[min(attending, len(lags)) - 1]
        assert (norms[:falls] > 0).all()
        assert (norms[falls:] == 0).all()


def test_too_few_steps(make: Make) -> None:
    with pytest.raises(UserError, match="at least one row of 2 tokens"):
        gradient_flow(make("gru"), drawn(2, 1), drawn(2, 1)[:, 0])


def test_every_model_is_tested(make: Make) -> None:
    assert {make(name).kind for name in MODELS_TRIED} == set(MODELS)


class Last(torch.nn.Module):
    """A user's classifier, which hands options on to its layer."""

    def __init__(self, options):
        super().__init__()
        self.layer, self.options = elman.nn.LSTM(3, 4, batch_first=True), options
        self.out = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.layer(x, **self.options)[0][:, -1])


@pytest.mark.parametrize(
    ("options", "flows"),
    [
        ({"return_states": False, "lengths": [5], "resets": np.zeros((1, 5), bool)}, True),
        ({"return_states": True}, False),
        ({"lengths": [4]}, False),
        ({"resets": torch.eye(5, dtype=torch.bool)[:1]}, False),
    ],
)
def test_options_that_mask_nothing_leave_the_memory_its_flow(options, flows) -> None:
    torch.manual_seed(0)
    model, x = Last(options), torch.randn(1, 5, 3)
    found = gradient_flow(model, x, [1])
    assert [flow.name for flow in found.memory] == (["layer 1 h", "layer 1 c"] if flows else [])
    if flows:
        model.options = {}
        for flow, plain in zip(found.memory, gradient_flow(model, x, [1]).memory, strict=True):
            np.testing.assert_allclose(flow.norms, plain.norms)
