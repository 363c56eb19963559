"""A single step without gradients goes a shorter way: to the same place, and only where the call is that plain."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from elman.kernels.native import instruction_set
from elman.nn import GRU, LSTM, Elman
from elman.nn.shortcuts import read_one_step

LAYERS = {"elman": (Elman, nn.RNN), "gru": (GRU, nn.GRU), "lstm": (LSTM, nn.LSTM)}
TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-6}

pytestmark = pytest.mark.skipif(instruction_set() is None, reason="the core was not built")


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"batch_first": True}], ids=str)
@pytest.mark.parametrize(("B", "D", "H"), [(1, 512, 64), (3, 7, 33), (4, 1, 1), (1, 5, 17)])
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
            assert read_one_step(own, x, given) is not None
            y, ours_before = own(x, ours_before)
            expected, theirs_before = theirs(x, theirs_before)
            assert y.shape == expected.shape
            pairs = [(y, expected), *zip(as_tuple(ours_before), as_tuple(theirs_before), strict=True)]
            for part, other in pairs:
                torch.testing.assert_close(part, other, rtol=0, atol=TOLERANCES[dtype])


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
            assert read_one_step(layer, x[:1], None) is not None
            for t in range(6):
                y, state = layer(x[t : t + 1], state)
                assert y.dtype == long.dtype == torch.bfloat16
                torch.testing.assert_close(y[0].float(), expected[t], rtol=0, atol=0.004)
        with torch.autocast("cpu", torch.float16):
            assert read_one_step(layer, x[:1].float(), None) is None
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
        assert read_one_step(layer, x, None) is None
        layer(x)


def test_gradients_compilers_and_transforms_go_the_long_way():
    layer, x = LSTM(3, 4), torch.ones(1, 1, 3)
    assert read_one_step(layer, x, None) is None  # there are gradients
    with torch.no_grad():
        assert read_one_step(layer, x, None) is not None
        assert read_one_step(layer, torch.ones(2, 1, 3), None) is None
        assert read_one_step(layer, torch.ones(1, 5, 3), None) is None
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
