"""The lens on layers of torch.nn and on modules that know no state contract: torch's own cells and plain autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman
from elman.errors import UserError
from elman.lens import gradient_flow, read_gates, step_jacobian, truncation, visit_layers
from elman.lens.visit import own_layer
from elman.models import build

LAYERS: dict[str, Callable[..., Any]] = {
    "tanh": nn.RNN,
    "relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
    "projected": lambda *sizes, **options: nn.LSTM(*sizes, proj_size=2, **options),
}
CELLS: dict[str, Any] = {"elman": torch.rnn_tanh_cell, "elman_relu": torch.rnn_relu_cell, "gru": torch.gru_cell}
LENGTHS = torch.tensor([3, 7, 1, 5])
T, B, D, H = 7, 4, 3, 5
every_layer = pytest.mark.parametrize("kind", LAYERS)


def make(kind: str, **options: Any) -> Any:
    torch.manual_seed(0)
    layer = LAYERS[kind](D, H, dtype=torch.float64, **options)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def parts_of(hx: Any) -> tuple[Tensor, ...]:
    return (hx,) if isinstance(hx, Tensor) else tuple(hx)


def one_step(visit: Any, t: int) -> tuple[Tensor, ...]:
    """The states after step t, of those before it, by torch's cells."""
    weights = [weight.detach() for weight in visit.weights[:4]]
    before = [part[t] for part in visit.before]
    if visit.cell != "lstm":
        return (CELLS[visit.cell](visit.inputs[t], before[0], *weights),)
    if visit.weights.weight_hr is None:
        return torch.lstm_cell(visit.inputs[t], before, *weights)
    i, f, g, o = (
        F.linear(visit.inputs[t], weights[0], weights[2]) + F.linear(before[0], weights[1], weights[3])
    ).chunk(4, -1)
    c = f.sigmoid() * before[1] + i.sigmoid() * g.tanh()
    return F.linear(o.sigmoid() * c.tanh(), visit.weights.weight_hr.detach()), c


@pytest.mark.parametrize("layout", ["time", "batch", "unbatched", "packed", "packed batch"])
@pytest.mark.parametrize("bidirectional", [False, True])
@every_layer
def test_visits_are_what_torch_does(kind: str, bidirectional: bool, layout: str) -> None:
    batch_first = layout.endswith("batch")
    layer = make(kind, num_layers=2, bidirectional=bidirectional, batch_first=batch_first).train()
    packed = layout.startswith("packed")
    rows = 1 if layout == "unbatched" else B
    x = drawn(T, rows, D)
    lengths = LENGTHS if packed else torch.full((rows,), T)
    given: Any = x[:, 0] if layout == "unbatched" else x.transpose(0, 1) if batch_first else x
    if packed:
        given = pack_padded_sequence(given, lengths, batch_first=batch_first, enforce_sorted=False)
    start = tuple(torch.randn_like(part) for part in parts_of(layer(given)[1]))
    hx: Any = start if len(start) > 1 else start[0]
    outputs, final = layer(given, hx)
    if packed:
        outputs, _ = pad_packed_sequence(outputs, batch_first=batch_first)
    outputs = outputs.transpose(0, 1) if batch_first else outputs.view(T, rows, -1)

    visits = visit_layers(layer, lambda: layer(given, hx))
    ways = [" forward", " reverse"] if bidirectional else [""]
    assert [visit.name for visit in visits] == [f"layer {n}{way}" for n in (1, 2) for way in ways]
    assert layer.training
    torch.testing.assert_close(torch.cat([v.after[0] for v in visits[-len(ways) :]], -1), outputs, rtol=0, atol=1e-12)
    for place, visit in enumerate(visits):
        assert torch.equal(visit.real, torch.arange(T)[:, None] < lengths)
        assert visit.reverse == bool(place % len(ways))
        for t in range(T):
            real = visit.real[t]
            for found, expected in zip(visit.after, one_step(visit, t), strict=True):
                torch.testing.assert_close(found[t, real], expected[real], rtol=0, atol=1e-12)
        ends = torch.zeros(rows, dtype=torch.int64) if visit.reverse else lengths - 1
        begins = lengths - 1 if visit.reverse else torch.zeros(rows, dtype=torch.int64)
        for first, last, before, after in zip(start, parts_of(final), visit.before, visit.after, strict=True):
            expected, given_first = (part[place].view(rows, -1) for part in (last, first))
            torch.testing.assert_close(after[ends, torch.arange(rows)], expected, rtol=0, atol=1e-12)
            torch.testing.assert_close(before[begins, torch.arange(rows)], given_first, rtol=0, atol=0)
            assert not before[~visit.real].any()
    below = torch.cat([visit.after[0] for visit in visits[: len(ways)]], dim=-1)
    assert torch.equal(visits[-1].inputs, below)


@pytest.mark.parametrize("kind", ["gru", "lstm", "projected"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gates_are_those_of_our_layer_and_padding_counts_for_nothing(kind: str, bidirectional: bool) -> None:
    layer = make(kind, bidirectional=bidirectional)
    own, x = own_layer(layer), drawn(T, B, D)
    packed = pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    padded = x.masked_fill(torch.arange(T)[:, None, None] >= LENGTHS[:, None], torch.nan)
    found = visit_layers(layer, lambda: layer(packed))
    expected = visit_layers(own, lambda: own(padded, lengths=LENGTHS))
    alone = [visit_layers(layer, lambda b=b: layer(x[: LENGTHS[b], b])) for b in range(B)]  # type: ignore[misc]
    for place, (ours, theirs) in enumerate(zip(expected, found, strict=True)):
        ours, theirs = read_gates(ours), read_gates(theirs)
        assert ours.layer == theirs.layer
        np.testing.assert_allclose(ours.time_scale, theirs.time_scale, rtol=1e-12)
        for gate in theirs.mean:
            np.testing.assert_allclose(ours.mean[gate], theirs.mean[gate], rtol=1e-12)
            rows = [read_gates(visits[place]).mean[gate] for visits in alone]
            np.testing.assert_allclose(theirs.mean[gate], np.average(rows, axis=0, weights=LENGTHS), rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_resets_and_padding_of_our_bidirectional_layer(reverse: bool) -> None:
    torch.manual_seed(0)
    layer = elman.nn.GRU(D, H, bidirectional=True, dtype=torch.float64)
    x, resets = drawn(T, B, D), torch.rand(B, T) < 0.4
    visit = visit_layers(layer, lambda: layer(x, lengths=LENGTHS, resets=resets))[reverse]
    for t in range(T):
        real = visit.real[t]
        torch.testing.assert_close(visit.after[0][t, real], one_step(visit, t)[0][real], rtol=0, atol=1e-12)


def test_random_numbers_and_weights_are_left_as_they_are() -> None:
    layer, x = make("gru", bidirectional=True), drawn(T, B, D)
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in layer.state_dict().items()}
    [forward, _] = visit_layers(layer, lambda: layer(x))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in layer.state_dict().items())
    assert forward.weights.weight_hh.data_ptr() == layer.weight_hh_l0.data_ptr()


def test_parametrized_weights_are_those_that_the_call_uses() -> None:
    layer: Any = nn.utils.parametrizations.weight_norm(make("lstm"), "weight_hh_l0")
    layer.parametrizations.weight_hh_l0.original0.data *= 3
    x = drawn(T, B, D)
    [visit] = visit_layers(layer, lambda: layer(x))
    torch.testing.assert_close(visit.after[0], layer(x)[0].detach(), rtol=0, atol=1e-12)


def test_calls_of_one_layer_are_joined_in_time() -> None:
    layer = make("lstm", num_layers=2)
    x = drawn(T, B, D)

    def loop() -> None:
        hx = None
        for step in x.split(1):
            _, hx = layer(input=step, hx=hx)

    for ours, whole in zip(visit_layers(layer, loop), visit_layers(layer, lambda: layer(x)), strict=True):
        assert ours.name == whole.name
        for part, expected in zip((*ours.before, *ours.after), (*whole.before, *whole.after), strict=True):
            torch.testing.assert_close(part, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@every_layer
def test_step_jacobians_are_those_of_autograd(kind: str, bidirectional: bool, batch_first: bool) -> None:
    layer = make(kind, num_layers=2, bidirectional=bidirectional, batch_first=batch_first)
    x = drawn(2, D)
    one = layer(x[None].transpose(0, 1) if batch_first else x[None])[1]
    parts = tuple(torch.randn_like(part) for part in parts_of(one))  # (L, 2, ·) each
    sizes = [part.shape[2] for part in parts]

    def as_hx(parts: tuple[Tensor, ...]) -> Any:
        return parts if len(parts) > 1 else parts[0]

    for place in range(2 * (1 + bidirectional)):
        found = step_jacobian(layer, x.numpy(), as_hx(parts), place)
        ours = step_jacobian(own_layer(layer), x, as_hx(parts), place)
        np.testing.assert_array_equal(ours.matrices, found.matrices)
        for row in range(2):

            def after(memory: Tensor, row: int = row, place: int = place) -> Tensor:
                whole = tuple(part[:, row : row + 1].clone() for part in parts)
                for part, piece in zip(whole, memory.split(sizes), strict=True):
                    part[place, 0] = piece
                _, last = layer(x[row].view(1, 1, D), as_hx(whole))
                return torch.cat([part[place, 0] for part in parts_of(last)])

            expected = torch.autograd.functional.jacobian(after, torch.cat([part[place, row] for part in parts]))
            np.testing.assert_allclose(found.matrices[row], expected, atol=1e-12)
    cleared = step_jacobian(layer, x, as_hx(parts), resets=[False, True]).matrices
    assert cleared[0].any()
    assert not cleared[1].any()


class Classifier(nn.Module):
    """What anyone may have written: an embedding, a layer of torch.nn, and a linear map of what `pool` takes."""

    def __init__(self, kind: str, pool: str, **options: Any) -> None:
        super().__init__()
        self.words = nn.Embedding(11, D, dtype=torch.float64)
        self.places = nn.Embedding(T, D, dtype=torch.float64)
        self.rnn = make(kind, num_layers=2, batch_first=True, **options)
        self.norm = nn.Dropout(0.5)
        self.last = nn.LazyLinear(6, dtype=torch.float64)
        self.pool = pool
        self(torch.zeros(1, T, dtype=torch.int64))

    def forward(self, tokens: Tensor) -> Tensor:
        places = self.places(torch.arange(tokens.shape[1]).expand_as(tokens))
        return self.of_vectors(self.words(tokens), places)

    def of_vectors(self, x: Tensor, places: Tensor | float = 0.0, hx: Any = None) -> Tensor:
        outputs, hx = self.rnn(self.norm(x + places), hx)
        if self.pool == "final":
            return self.last(parts_of(hx)[0][-1])
        return self.last(outputs.mean(1) if self.pool == "mean" else outputs[:, -1])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pool", ["final", "mean", "outputs"])
@pytest.mark.parametrize("kind", ["tanh", "gru", "lstm", "projected"])
def test_the_gradient_flow_of_a_classifier_is_that_of_autograd(kind: str, pool: str, bidirectional: bool) -> None:
    model = Classifier(kind, pool, bidirectional=bidirectional).train()
    tokens, classes = torch.randint(11, (3, T)), torch.tensor([0, 5, 2])
    flow = gradient_flow(model, tokens, classes)
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    model.eval()
    x = model.words(tokens).detach().requires_grad_()
    places = model.places(torch.arange(T))
    (expected,) = torch.autograd.grad(F.cross_entropy(model.of_vectors(x, places), classes, reduction="sum"), x)
    np.testing.assert_allclose(flow.input.norms[::-1].T, expected.norm(dim=-1), rtol=1e-9)
    names = ["layer 1 h", "layer 1 c", "layer 2 h", "layer 2 c"] if kind in ("lstm", "projected") else ["layer 1 h"] * 2
    assert len(flow.memory) == (0 if bidirectional else len(names))
    if bidirectional or pool == "mean":  # the outputs before a step are not of the memory after it
        return
    for lag in range(1, T):
        with torch.no_grad():
            _, hx = model.rnn((x + places)[:, :-lag])
        memory = [part.clone().requires_grad_() for part in parts_of(hx)]
        logits = model.of_vectors(x[:, -lag:], places[-lag:], tuple(memory) if len(memory) > 1 else memory[0])
        gradients = torch.autograd.grad(F.cross_entropy(logits, classes, reduction="sum"), memory)
        expected_norms = [part[layer].norm(dim=-1) for layer in range(2) for part in gradients]
        for found, norms in zip(flow.memory, expected_norms, strict=True):
            assert found.lags[lag - 1] == lag
            np.testing.assert_allclose(found.norms[lag - 1], norms, rtol=1e-9, atol=1e-15)


def test_a_mean_over_steps_reaches_every_state_in_its_own_way() -> None:
    """∂L/∂s_t by hand, where the loss is a sum over all steps: only those after t count."""
    rnn = make("tanh")
    x, weight = drawn(1, T, D), drawn(H)
    read = lambda x: (rnn(x.transpose(0, 1))[0] @ weight).sum()  # noqa: E731
    flow = gradient_flow(rnn, x, torch.zeros(1), read=read, loss=lambda made, _: made)
    states = rnn(x.transpose(0, 1))[0][:, 0].detach()
    W, g = rnn.weight_hh_l0.detach(), torch.zeros(H, dtype=torch.float64)
    for lag in range(1, T):
        g = W.T @ ((1 - states[T - lag] ** 2) * (g + weight))
        assert flow.memory[0].norms[lag - 1, 0] == pytest.approx(g.norm().item(), rel=1e-10)


class TorchLM(nn.Module):
    """A language model of torch.nn with a state of its own, tokens and vectors time-major inside."""

    def __init__(self, own: Any) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(own.embedding.weight.detach().clone(), freeze=False)
        self.rnn = nn.LSTM(8, 8, 2, dtype=torch.float64)
        weights = {f"weight_{k}_l{n}": getattr(own.layers[n], f"weight_{k}_l0") for k in ("ih", "hh") for n in (0, 1)}
        weights |= {f"bias_{k}_l{n}": getattr(own.layers[n], f"bias_{k}_l0") for k in ("ih", "hh") for n in (0, 1)}
        self.rnn.load_state_dict(weights)
        self.head = own.decoder

    def forward(self, tokens: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        outputs, hx = self.rnn(self.words(tokens.t()), hx)
        return self.head(outputs).transpose(0, 1), hx


def both() -> tuple[Any, TorchLM]:
    torch.manual_seed(0)
    own: Any = build({"model": "lstm", "vocab_size": 11, "hidden_size": 8, "num_layers": 2}).double()
    return own, TorchLM(own)


def test_one_model_in_torch_and_in_ours_has_one_gradient_flow() -> None:
    own, model = both()
    tokens, targets = torch.randint(11, (3, 9)), torch.tensor([1, 2, 3])
    ours, theirs = gradient_flow(own, tokens, targets), gradient_flow(model, tokens, targets)
    for found, expected in zip((theirs.input, *theirs.memory), (ours.input, *ours.memory), strict=True):
        assert found.name == expected.name
        assert np.array_equal(found.lags, expected.lags)
        np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-9, atol=1e-15)


def test_one_model_in_torch_and_in_ours_is_truncated_alike() -> None:
    own, model = both()
    tokens, targets = torch.randint(11, (3, 9)), torch.randint(11, (3, 9))
    ours = truncation(own, tokens, targets)
    theirs = truncation(model, tokens, targets, read=lambda x, hx: model(x, hx))
    np.testing.assert_allclose(theirs.cosine, ours.cosine, rtol=1e-9)
    np.testing.assert_allclose(theirs.bias, ours.bias, rtol=1e-9, atol=1e-14)
    assert theirs.bias[0] > 0.01
    with pytest.raises(UserError, match="truncation: expected a language model, got TorchLM; give `read`"):
        truncation(model, tokens, targets)


def test_vectors_and_a_loss_of_ones_own() -> None:
    rnn, head = make("gru", batch_first=True), nn.Linear(H, 2, dtype=torch.float64)
    model = nn.ModuleList([rnn, head])
    x, y = drawn(3, T, D), drawn(3, 2)
    flow = gradient_flow(
        model, x, y, read=lambda x: head(rnn(x)[0][:, -1]), loss=lambda made, y: (made - y).square().sum()
    )
    moved = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad((head(rnn(moved)[0][:, -1]) - y).square().sum(), moved)
    np.testing.assert_allclose(flow.input.norms[::-1].T, expected.norm(dim=-1), rtol=1e-9)
    assert len(flow.memory) == 1
    assert not x.requires_grad


def test_what_is_not_for_a_module_is_said() -> None:
    model = Classifier("gru", "final")
    tokens, classes = torch.randint(11, (2, T)), torch.tensor([0, 1])
    with pytest.raises(UserError, match="state and resets: expected none for this module"):
        gradient_flow(model, tokens, classes, resets=torch.zeros(2, T, dtype=torch.bool))
    with pytest.raises(UserError, match="targets: expected one for each of 2 rows, got 1"):
        gradient_flow(model, tokens, classes[:1])
    with pytest.raises(UserError, match=r"tokens: expected vectors of floats \(K, D\) for a layer, got torch.int64"):
        step_jacobian(model.rnn, tokens[:, 0], None)
    with pytest.raises(UserError, match=r"a torch.nn.Embedding that is called with the tokens in their order"):
        gradient_flow(model, tokens, classes, read=lambda x: model(x.flip(1)))
    with pytest.raises(UserError, match=r"a recurrent model, .* or one of its recurrent layers, got Classifier"):
        step_jacobian(model, tokens[:, 0], None)
    with pytest.raises(UserError, match="layer: expected 0 to 1, got 2"):
        step_jacobian(model.rnn, drawn(2, D), torch.zeros(2, 2, H, dtype=torch.float64), 2)
