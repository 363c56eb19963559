"""Layers with recurrent dropout, zoneout, peepholes and layer normalization."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from elman.errors import UserError
from elman.nn import GRU, LSTM, Elman
from elman.nn.dropout import coins

VARIED: list[tuple[type, dict[str, Any]]] = [
    *((make, option) for make in (Elman, GRU, LSTM) for option in ({"zoneout": 0.3}, {"layer_norm": True})),
    (LSTM, {"zoneout_cell": 0.3}),
    (LSTM, {"peepholes": True}),
    (LSTM, {"zoneout": 0.1, "zoneout_cell": 0.4, "peepholes": True, "layer_norm": True}),
    (LSTM, {"zoneout": 0.1, "zoneout_cell": 0.4, "peepholes": True, "layer_norm": True, "proj_size": 2}),
]
varied = pytest.mark.parametrize(("make", "options"), VARIED)


def parts(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else state


@pytest.mark.parametrize("make", [Elman, GRU, LSTM])
def test_recurrent_dropout_draws_one_mask_for_all_steps(make: type):
    """The same as a plain layer that reads one step after the other from a masked h."""
    torch.manual_seed(0)
    layer = make(3, 8, recurrent_dropout=0.5)
    x = torch.randn(6, 2, 3)
    torch.manual_seed(1)
    whole, _ = layer(x)
    torch.manual_seed(1)
    mask = torch.empty(2, 8).bernoulli_(0.5) / 0.5
    state = [torch.zeros(1, 2, 8) for _ in range(2 if make is LSTM else 1)]
    plain = make(3, 8)
    plain.load_state_dict(layer.state_dict())
    for t in range(6):
        masked = [mask * state[0], *state[1:]]
        step, after = plain(x[t : t + 1], tuple(masked) if make is LSTM else masked[0])
        new = step
        if make is GRU:  # which interpolates with the h that is not masked
            z = torch.sigmoid(
                x[t] @ layer.weight_ih_l0[8:16].T
                + layer.bias_ih_l0[8:16]
                + masked[0][0] @ layer.weight_hh_l0[8:16].T
                + layer.bias_hh_l0[8:16]
            )
            new = step + z * (state[0] - masked[0])
        torch.testing.assert_close(whole[t], new[0], atol=1e-6, rtol=0)
        state = [new, *parts(after)[1:]]
    torch.manual_seed(2)
    other, _ = layer(x)
    assert not torch.equal(other, whole)
    torch.testing.assert_close(layer.eval()(x)[0], plain(x)[0], atol=0, rtol=0)


@pytest.mark.parametrize(("make", "options"), [(Elman, {}), (GRU, {}), (LSTM, {}), (LSTM, {"proj_size": 40})])
def test_zoneout_keeps_units_in_training_and_their_share_in_evaluation(make: type, options: dict[str, int]):
    torch.manual_seed(0)
    p = 0.25
    layer = make(3, 50, zoneout=p, **options)
    x = torch.randn(40, 2, 3)
    h = layer(x)[0]
    kept = (h[1:] == h[:-1]).float().mean().item()
    assert kept == pytest.approx(p, abs=0.04)
    assert not torch.equal(layer(x)[0], h)

    layer.eval()
    h = layer(x)[0]
    assert torch.equal(layer(x)[0], h)
    plain = make(3, 50, **options)
    plain.load_state_dict(layer.state_dict())
    if make is not LSTM:
        before = torch.cat([torch.zeros_like(h[:1]), h[:-1]])
        new = plain(x.reshape(1, 80, 3), before.reshape(1, 80, 50))[0].view_as(h)
        torch.testing.assert_close(h, p * before + (1 - p) * new, atol=1e-6, rtol=0)


def test_zoneout_of_the_cell_keeps_its_units():
    torch.manual_seed(0)
    layer = LSTM(3, 50, zoneout_cell=0.25)
    c = layer(torch.randn(40, 2, 3), return_states=True)[2][1][0]
    assert (c[1:] == c[:-1]).float().mean().item() == pytest.approx(0.25, abs=0.04)


@varied
@pytest.mark.parametrize("bias", [False, True])
def test_every_backend_reads_the_same_and_in_pieces_as_whole(make: type, options: dict[str, Any], bias: bool):
    torch.manual_seed(0)
    layer = make(3, 6, 2, bias=bias, **options).eval()
    x, resets = torch.randn(9, 4, 3), torch.rand(4, 9) < 0.2
    lengths = torch.tensor([9, 0, 5, 7])
    outputs, final = layer(x, resets=resets, lengths=lengths)
    first, state = layer(x[:4], resets=resets[:, :4], lengths=lengths.clamp(max=4))
    second, after = layer(x[4:], state, resets=resets[:, 4:], lengths=(lengths - 4).clamp(min=0))
    torch.testing.assert_close(torch.cat([first, second]), outputs, atol=1e-5, rtol=0)
    torch.testing.assert_close(after, final, atol=1e-5, rtol=0)
    layer.backend = "reference"
    torch.testing.assert_close(layer(x, resets=resets, lengths=lengths)[0], outputs, atol=1e-5, rtol=0)


@varied
def test_packed_and_batch_first_input_of_both_directions(make: type, options: dict[str, Any]):
    torch.manual_seed(0)
    layer = make(3, 5, 2, bidirectional=True, batch_first=True, **options).eval()
    x, lengths = torch.randn(4, 7, 3), torch.tensor([2, 7, 1, 5])
    packed, expected = layer(pack_padded_sequence(x, lengths, True, enforce_sorted=False))
    outputs, final = layer(x, lengths=lengths)
    repacked = pack_padded_sequence(outputs, lengths, True, enforce_sorted=False)
    torch.testing.assert_close(repacked.data, packed.data, atol=1e-6, rtol=0)
    torch.testing.assert_close(final, expected, atol=1e-6, rtol=0)
    alone, _ = layer(x[1])
    torch.testing.assert_close(alone, outputs[1], atol=1e-6, rtol=0)
    for empty in (torch.zeros(4, 0, 3), torch.zeros(0, 7, 3)):
        assert layer.train()(empty)[0].shape == (*empty.shape[:2], outputs.shape[-1])


@pytest.mark.parametrize("p", [0.1, 0.5, 0.999999, 1.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_coins_fall_as_often_as_they_should(p: float, dtype: torch.dtype):
    torch.manual_seed(0)
    thrown = coins(torch.empty(0, dtype=dtype), 101, 3, 333, p=p)
    assert (thrown.dtype, thrown.shape) == (dtype, (101, 3, 333))
    assert set(thrown.unique().tolist()) <= {0.0, 1.0}
    deviation = (p * (1 - p) / thrown.numel()) ** 0.5
    assert abs(thrown.double().mean().item() - p) <= 5 * deviation + 1e-5
    one_after_the_other = thrown.double().flatten()
    both = (one_after_the_other[1:] * one_after_the_other[:-1]).mean().item()
    assert abs(both - p * p) <= 10 * deviation + 2e-5


def test_coins_of_odd_numbers_and_small_chances():
    torch.manual_seed(0)
    for size in range(6):
        assert coins(torch.empty(0), size, p=1.0).tolist() == [1.0] * size
    assert coins(torch.empty(0), 100_000, p=1e-9).sum() < 20


def test_coins_are_thrown_where_the_layer_is():
    layer = GRU(3, 5, zoneout=0.5)
    torch.set_default_device("meta")
    try:
        outputs, _ = layer(torch.zeros(4, 2, 3, device="cpu"))
    finally:
        torch.set_default_device(None)
    assert outputs.device.type == "cpu"


def test_an_ensemble_under_vmap_throws_coins_of_its_own():
    torch.manual_seed(0)
    layers = [LSTM(3, 5, zoneout=0.5) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    weights, _ = torch.func.stack_module_state(layers)

    def read(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(layers[0], weights, (x,))[0]

    first, second = torch.vmap(read, in_dims=(0, None), randomness="different")(weights, torch.randn(6, 4, 3))
    assert not torch.equal(first, second)


@varied
def test_training_reaches_every_parameter_and_a_state_dict_goes_around(make: type, options: dict[str, Any]):
    torch.manual_seed(0)
    layer = make(3, 5, 2, bidirectional=True, recurrent_dropout=0.2, **options)
    outputs, final = layer(torch.randn(7, 4, 3))
    (outputs.square().sum() + sum(part.sum() for part in parts(final))).backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name

    other = make(3, 5, 2, bidirectional=True, recurrent_dropout=0.2, **options)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(7, 4, 3)
    assert torch.equal(layer.eval()(x)[0], other.eval()(x)[0])


def test_the_names_and_first_values_of_the_parameters():
    layer = LSTM(3, 5, bidirectional=True, peepholes=True, layer_norm=True)
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    for end in ("l0", "l0_reverse"):
        assert shapes[f"weight_peephole_{end}"] == (15,)
        assert shapes[f"gain_ih_{end}"] == shapes[f"gain_hh_{end}"] == (20,)
        assert shapes[f"gain_cell_{end}"] == shapes[f"bias_cell_{end}"] == (5,)
    assert (layer.gain_hh_l0 == 1).all()
    assert (layer.bias_cell_l0 == 0).all()
    assert len(layer.all_weights[0]) == 9
    assert {"gain_cell_l0", "bias_ih_l0"} & dict(
        GRU(3, 5, bias=False, layer_norm=True).named_parameters()
    ).keys() == set()
    assert repr(LSTM(3, 5, peepholes=True, zoneout=0.1)) == "LSTM(3, 5, zoneout=0.1, peepholes=True)"


@pytest.mark.parametrize("name", ["recurrent_dropout", "zoneout", "zoneout_cell"])
@pytest.mark.parametrize("p", [-0.1, 1.0, 2, float("nan")])
def test_what_is_no_probability_is_refused(name: str, p: float):
    with pytest.raises(UserError, match=f"{name}: expected a probability"):
        LSTM(3, 5, **{name: p})


def test_what_is_no_flag_is_refused():
    with pytest.raises(TypeError, match="peepholes should be of type bool"):
        LSTM(3, 5, peepholes=1)


@varied
def test_the_torch_backend_says_why_not(make: type, options: dict[str, Any]):
    layer = make(3, 5, backend="torch", **options)
    with pytest.raises(UserError, match=r"'torch' cannot serve .* know no .*(zoneout|layer normalization|peepholes)"):
        layer(torch.zeros(2, 1, 3))


def test_the_torch_backend_serves_what_is_plain_in_evaluation():
    layer = GRU(3, 5, backend="torch", recurrent_dropout=0.5)
    with pytest.raises(UserError, match="no recurrent dropout"):
        layer(torch.zeros(2, 1, 3))
    layer.eval()(torch.zeros(2, 1, 3))


@varied
def test_autocast_reads_in_bfloat16(make: type, options: dict[str, Any]):
    torch.manual_seed(0)
    layer = make(3, 5, **options).eval()
    x = torch.randn(7, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, _ = layer(x)
    torch.testing.assert_close(outputs.float(), layer(x)[0], atol=0.03, rtol=0)
    outputs.float().sum().backward()


@varied
def test_a_layer_of_bfloat16(make: type, options: dict[str, Any]):
    torch.manual_seed(0)
    layer = make(3, 5, **options)
    x = torch.randn(7, 4, 3)
    expected = layer.eval()(x)[0]
    outputs, _ = layer.bfloat16()(x.bfloat16())
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs.float(), expected, atol=0.06, rtol=0)
    layer.train()(x.bfloat16())[0].float().sum().backward()


@varied
def test_compiled_it_is_what_it_was(make: type, options: dict[str, Any]):
    """By the reference, step by step: the native operator knows plain cells alone."""
    torch.manual_seed(0)
    layer = make(3, 5, **options).eval()
    x = torch.randn(3, 2, 3)
    torch._dynamo.reset()  # layers of every class share one `forward`, of which torch compiles eight versions at most
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x)[0], layer(x)[0], atol=1e-6, rtol=0)


@varied
def test_functional_transforms(make: type, options: dict[str, Any]):
    torch.manual_seed(0)
    layer = make(2, 3, **options).eval().double()
    x = torch.randn(3, 2, 2, dtype=torch.float64)
    tangent = torch.randn_like(x)
    _, forward = torch.func.jvp(lambda x: layer(x)[0], (x,), (tangent,))
    _, backward = torch.func.vjp(lambda x: layer(x)[0], x)
    given = torch.randn_like(forward)
    torch.testing.assert_close((forward * given).sum(), (backward(given)[0] * tangent).sum())
    rows = torch.func.vmap(lambda row: layer(row)[0], in_dims=1, out_dims=1)(x)
    torch.testing.assert_close(rows, layer(x)[0])
