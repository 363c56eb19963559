"""A plain call without gradients goes a shorter way: to the same place, and only where the call is that plain."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from elman.kernels.native import instruction_set
from elman.nn import GRU, LSTM, Elman
from elman.nn.shortcuts import read_plain

LAYERS = {"elman": (Elman, nn.RNN), "gru": (GRU, nn.GRU), "lstm": (LSTM, nn.LSTM)}
TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-6}

pytestmark = pytest.mark.skipif(instruction_set() is None, reason="the core was not built")


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"batch_first": True}], ids=str)
@pytest.mark.parametrize(("B", "D", "H"), [(1, 512, 64), (3, 7, 33), (4, 1, 1), (1, 5, 17), (20, 7, 33)])
@pytest.mark.parametrize("name", LAYERS)
def test_it_is_torchs_step_many_times(name, B, D, H, options, dtype):
    torch.manual_seed(0)
    own, theirs = (layer(D, H, **options, dtype=dtype) for layer in LAYERS[name])
    theirs.load_state_dict(own.state_dict())
    ours_before = theirs_before = None
    with torch.no_grad():
        for _ in range(5):
            x = torch.randn((B, 1, D) if options.get("batch_first") else (1, B, D), dtype=dtype)
            given = None if ours_before is None else as_tuple(ours_before)
            assert read_plain(own, x, given) is not None
            y, ours_before = own(x, ours_before)
            expected, theirs_before = theirs(x, theirs_before)
            assert y.shape == expected.shape
            pairs = [(y, expected), *zip(as_tuple(ours_before), as_tuple(theirs_before), strict=True)]
            for part, other in pairs:
                torch.testing.assert_close(part, other, rtol=0, atol=TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"batch_first": True}], ids=str)
@pytest.mark.parametrize(
    ("T", "B", "D", "H"),
    [(7, 1, 5, 130), (33, 1, 64, 64), (33, 1, 300, 260), (7, 3, 7, 33), (2, 2, 1, 5), (9, 20, 40, 50)],
)
@pytest.mark.parametrize("name", LAYERS)
def test_it_is_torchs_window(name, T, B, D, H, options, dtype):
    torch.manual_seed(0)
    own, theirs = (layer(D, H, **options, dtype=dtype) for layer in LAYERS[name])
    theirs.load_state_dict(own.state_dict())
    x = torch.randn((B, T, D) if options.get("batch_first") else (T, B, D), dtype=dtype)
    state = theirs(x)[1]
    with torch.no_grad():
        for hx in (None, state):
            flat = None if hx is None else as_tuple(hx)
            assert (read_plain(own, x, flat) is None) == (B > 1 and options.get("batch_first", False))
            y, final = own(x, hx)
            expected, of_theirs = theirs(x, hx)
            assert y.shape == expected.shape
            for part, other in [(y, expected), *zip(as_tuple(final), as_tuple(of_theirs), strict=True)]:
                torch.testing.assert_close(part, other, rtol=0, atol=10 * TOLERANCES[dtype])


@pytest.mark.parametrize("name", LAYERS)
def test_a_state_of_zeros_is_none_given(name):
    torch.manual_seed(0)
    layer = LAYERS[name][0](7, 130)
    zeros = (torch.zeros(1, 1, 130),) * len(layer.specification.states)
    with torch.no_grad():
        for T in (1, 9):
            x = torch.randn(T, 1, 7)
            fresh, given = layer(x)[0], layer(x, zeros if len(zeros) > 1 else zeros[0])[0]
            assert torch.equal(fresh, given)


def test_weights_may_change_between_calls():
    layer, x = LSTM(3, 40), torch.ones(9, 1, 3)
    with torch.no_grad():
        before = layer(x)[0]
        layer.weight_hh_l0.data.mul_(2)
        doubled = layer(x)[0]
        assert not torch.equal(doubled, before)
        layer.weight_hh_l0.data = layer.weight_hh_l0.data / 2
        assert torch.equal(layer(x)[0], before)


def test_weights_of_another_shape_are_refused():
    layer = GRU(3, 40)
    layer.weight_hh_l0 = nn.Parameter(torch.ones(3, 40))
    with torch.no_grad():
        assert read_plain(layer, torch.ones(1, 1, 3), None) is None
        with pytest.raises(ValueError, match="weight_hh"):
            layer(torch.ones(1, 1, 3))


def test_relu_is_served_too():
    own, theirs = Elman(3, 5, nonlinearity="relu"), nn.RNN(3, 5, nonlinearity="relu")
    theirs.load_state_dict(own.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(own(torch.ones(1, 1, 3))[0], theirs(torch.ones(1, 1, 3))[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_autocast_rounds_the_output_alone(name, dtype):
    torch.manual_seed(0)
    layer, x = LAYERS[name][0](7, 33), torch.randn(6, 2, 7).to(dtype)
    state = None
    with torch.no_grad():
        expected, last = layer(x.float())
        with torch.autocast("cpu", torch.bfloat16):
            long, of_long = layer(x)
            assert read_plain(layer, x[:1], None) is not None
            assert read_plain(layer, x[:1].expand(1, 2, 7).repeat(1, 4, 1), None) is None  # rounded weights pay there
            for t in range(6):
                y, state = layer(x[t : t + 1], state)
                assert y.dtype == long.dtype == torch.bfloat16
                torch.testing.assert_close(y[0].float(), expected[t], rtol=0, atol=0.004)
        with torch.autocast("cpu", torch.float16):
            assert read_plain(layer, x[:1].float(), None) is None
    for ours, other, theirs in zip(*map(as_tuple, (state, of_long, last)), strict=True):
        assert ours.dtype == other.dtype == torch.float32
        torch.testing.assert_close(ours, theirs)


def test_the_output_and_the_state_share_no_memory():
    layer = GRU(3, 4)
    with torch.no_grad():
        y, h = layer(torch.ones(1, 1, 3))
        before = h.clone()
        y.zero_()
    assert torch.equal(h, before)


@pytest.mark.parametrize(
    "change",
    [
        {"zoneout": 0.1},
        {"layer_norm": True},
        {"num_layers": 2},
        {"bidirectional": True},
        {"backend": "reference"},
        {"dtype": torch.bfloat16},
    ],
    ids=str,
)
def test_what_is_not_plain_goes_the_long_way(change):
    layer = GRU(3, 4, **change).eval()
    x = torch.ones(1, 1, 3, dtype=change.get("dtype"))
    with torch.no_grad():
        assert read_plain(layer, x, None) is None
        layer(x)


def test_gradients_compilers_and_transforms_go_the_long_way():
    layer, x = LSTM(3, 4), torch.ones(1, 1, 3)
    assert read_plain(layer, x, None) is None  # there are gradients
    with torch.no_grad():
        assert read_plain(layer, x, None) is not None
        batched = torch.vmap(lambda row: layer(row[None, None])[0])(torch.ones(2, 3))
        torch.testing.assert_close(batched[0], layer(x)[0])
    weights = {name: 2 * p.detach() for name, p in layer.named_parameters()}
    with torch.no_grad():
        doubled, _ = torch.func.functional_call(layer, weights, (x,))
        layer.load_state_dict(weights)
        torch.testing.assert_close(layer(x)[0], doubled)


def test_mistakes_are_told_as_ever():
    layer = Elman(3, 4)
    with torch.no_grad():
        with pytest.raises(RuntimeError, match="Expected 3, got 2"):
            layer(torch.ones(1, 1, 2))
        with pytest.raises(RuntimeError, match=r"[Ee]xpected"):
            layer(torch.ones(1, 1, 3), torch.ones(1, 1, 5))
