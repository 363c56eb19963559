"""Layers on top of each other, each of a size of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.rnn import pack_padded_sequence

from elman.lens import visit_layers
from elman.nn import GRU, LSTM, Elman
from elman.state import detach

SIZES = (5, 33, 7)
every_layer = pytest.mark.parametrize("make", [Elman, GRU, LSTM])


def alone(layer: nn.Module, depth: int, **options: Any) -> nn.Module:
    """The layer at that depth as one of its own."""
    names = [name for name, _ in layer.named_parameters() if f"_l{depth}" in name]
    D = getattr(layer, f"weight_ih_l{depth}").shape[1]
    found = type(layer)(D, layer.hidden_sizes[depth], bidirectional=layer.bidirectional, **options).to(torch.float64)
    weights = {name.replace(f"_l{depth}", "_l0"): getattr(layer, name).detach() for name in names}
    assert found.load_state_dict(weights, strict=True)
    return found


def tensors(tree: Any) -> list[Tensor]:
    return [tree] if isinstance(tree, Tensor) else [tensor for part in tree for tensor in tensors(part)]


@every_layer
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_layers_of_their_own_one_after_the_other(make: type, bidirectional: bool, masked: bool):
    torch.manual_seed(0)
    layer = make(3, SIZES, bidirectional=bidirectional).to(torch.float64)
    x = torch.randn(9, 4, 3, dtype=torch.float64, requires_grad=True)
    masks = {}
    if masked:
        masks = {"lengths": torch.tensor([9, 0, 4, 7]), "resets": torch.rand(4, 9) < 0.2}
    outputs, final, states = layer(x, return_states=True, **masks)

    below, state = x, None
    for depth in range(3):
        one = alone(layer, depth)
        state = [torch.randn_like(part) for part in tensors(final[depth])]
        below, expected, every = one(below, return_states=True, **masks)
        for ours, theirs in zip(tensors((final[depth], states[depth])), tensors((expected, every)), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
        assert state[0].shape == (2 if bidirectional else 1, 4, SIZES[depth])
    torch.testing.assert_close(outputs, below, atol=1e-12, rtol=0)
    (ours,) = torch.autograd.grad(outputs.sin().sum(), x)
    (theirs,) = torch.autograd.grad(below.sin().sum(), x)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


@every_layer
def test_reading_in_pieces_is_reading_whole_from_any_state(make: type):
    torch.manual_seed(1)
    layer = make(3, SIZES)
    x = torch.randn(10, 2, 3)
    _, start = layer(torch.randn(4, 2, 3))
    outputs, final = layer(x, start)
    first, state = layer(x[:6], start)
    second, after = layer(x[6:], detach(state))
    torch.testing.assert_close(torch.cat([first, second]), outputs, atol=1e-6, rtol=0)
    for ours, theirs in zip(tensors(after), tensors(final), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@every_layer
def test_every_layout_has_the_same_states(make: type):
    torch.manual_seed(2)
    layer = make(3, SIZES, batch_first=True)
    x, lengths = torch.randn(3, 6, 3), torch.tensor([2, 6, 4])
    outputs, final = layer(x, lengths=lengths)
    packed, of_pack = layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
    for ours, theirs in zip(tensors(of_pack), tensors(final), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    assert packed.data.shape == (12, SIZES[-1])
    one, of_one, every = layer(x[1], return_states=True)
    torch.testing.assert_close(one, outputs[1], atol=1e-6, rtol=0)
    for alone, whole in zip(tensors(of_one), tensors(final), strict=True):
        torch.testing.assert_close(alone, whole[:, 1], atol=1e-6, rtol=0)
    assert [part.shape[-1] for part in tensors(every)] == [part.shape[-1] for part in tensors(final)]


def test_variations_a_projection_and_one_step():
    torch.manual_seed(3)
    options = {"layer_norm": True, "peepholes": True, "zoneout": 0.2, "dropout": 0.3, "recurrent_dropout": 0.2}
    layer = LSTM(3, [6, 9], proj_size=4, recompute=2, **options)
    outputs, ((h, c), (h_last, c_last)) = layer(torch.randn(5, 2, 3))
    assert (h.shape, c.shape, h_last.shape, c_last.shape) == ((1, 2, 4), (1, 2, 6), (1, 2, 4), (1, 2, 9))
    outputs.sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
    with torch.no_grad():
        single, (state,) = GRU(3, [5])(torch.randn(1, 2, 3))
    torch.testing.assert_close(single, state)


@every_layer
def test_one_size_for_all_is_what_torch_has_and_a_sequence_of_it_differs_in_the_state_alone(make: type):
    torch.manual_seed(4)
    equal, listed = make(3, 5, 2), make(3, [5, 5])
    listed.load_state_dict(equal.state_dict())
    x = torch.randn(4, 2, 3)
    (ours, states), (theirs, state) = listed(x), equal(x)
    torch.testing.assert_close(ours, theirs)
    for depth in range(2):
        for part, whole in zip(tensors(states[depth]), tensors(state), strict=True):
            torch.testing.assert_close(part[0], whole[depth])
    assert repr(listed) == f"{make.__name__}(3, (5, 5), num_layers=2)"
    assert (equal.hidden_size, equal.hidden_sizes, listed.hidden_size) == (5, (5, 5), (5, 5))


def test_first_values_follow_the_size_of_the_layer():
    layer = Elman(3, [400, 4])
    assert 0.04 < layer.weight_hh_l0.abs().max() <= 0.05
    assert 0.3 < layer.weight_ih_l1.abs().max() <= 0.5


@pytest.mark.parametrize(
    ("sizes", "layers", "error", "words"),
    [
        ([], 1, ValueError, r"a size for each of one layer or more, got \[\]"),
        (b"45", 1, TypeError, "hidden_size should be of type int, got: bytes"),
        ([4, 5], 2.0, TypeError, "num_layers should be of type int, got: float"),
        ([4, 5], 3, ValueError, r"a size for each of 3 layers, got \[4, 5\]"),
        ([4, 0], 1, ValueError, "hidden_size must be greater than zero"),
        ([4, 2.5], 1, TypeError, "hidden_size should be of type int, got: float"),
        ("45", 1, TypeError, "hidden_size should be of type int, got: str"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes: Any, layers: int, error: type, words: str):
    with pytest.raises(error, match=words):
        GRU(3, sizes, layers)


def test_states_that_do_not_fit_are_refused():
    layer, x = LSTM(3, [4, 5]), torch.zeros(2, 1, 3)
    _, state = layer(x)
    of_one_size = (torch.zeros(2, 1, 4), torch.zeros(2, 1, 5))
    for given, error, words in (
        (of_one_size[0], TypeError, r"LSTM: .* a tuple of 2, \(h, c\) of each layer, got Tensor"),
        (of_one_size, TypeError, r"the initial state of layer 0 as a pair \(h, c\), got Tensor"),
        ((state[0], None), TypeError, r"of layer 1 as a pair \(h, c\), got NoneType"),
        ((state[0], (state[1][0], None)), TypeError, r"of layer 1 as a pair .* NoneType for one of its tensors"),
        ((state[0], state[0]), RuntimeError, r"Expected hidden\[1\]\[0\] size \(1, 1, 5\), got \[1, 1, 4\]"),
    ):
        with pytest.raises(error, match=words):
            layer(x, given)
    with pytest.raises(TypeError, match=r"Elman: expected the initial state as a tensor h, got tuple of 2"):
        Elman(3, 4)(x, (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)))


@pytest.mark.parametrize("sizes", [5, [5, 7]])
def test_first_values_are_drawn_anew_whatever_the_parameters_are_called(sizes: int | list[int]):
    class Own(LSTM):
        def __init__(self) -> None:
            super().__init__(3, sizes)
            self.head = nn.Linear(5, 2)
            self.head_l9 = nn.Linear(5, 2)

    pruned = prune.random_unstructured(GRU(3, sizes), "weight_hh_l0", 0.5)
    for layer in (Own(), pruned, parametrizations.weight_norm(Elman(3, sizes), "weight_hh_l0")):
        before = [parameter.clone() for parameter in layer.parameters()]
        layer.reset_parameters()
        for old, new in zip(before, layer.parameters(), strict=True):
            assert not torch.equal(old, new)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("make", [GRU, LSTM])
def test_the_lens_visits_every_layer_with_its_own_states(make: type, batch_first: bool):
    torch.manual_seed(5)
    layer = make(3, [5, 7], batch_first=batch_first)
    x = torch.randn(2, 4, 3) if batch_first else torch.randn(4, 2, 3)
    _, start = layer(x)
    _, final, every = layer(x, start, return_states=True)
    visits = visit_layers(layer, lambda: layer(x, start))
    for depth, visit in enumerate(visits):
        for first, states, last, before, after in zip(
            *map(tensors, (start[depth], every[depth], final[depth], visit.before, visit.after)), strict=True
        ):
            assert torch.equal(before[0], first[0])
            assert torch.equal(after[-1], last[0])
            assert torch.equal(after, states[0].transpose(0, 1) if batch_first else states[0])
            assert torch.equal(before[1:], after[:-1])
    assert torch.equal(visits[1].inputs, visits[0].after[0])
