"""From arrays to layers and back: every convention, what is folded, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman import nn
from elman.errors import UserError
from elman.interop import CONVENTIONS, Convention, convention_named, from_arrays, to_arrays
from elman.nn import Recurrent

every_convention = pytest.mark.parametrize(
    "convention", [convention_named(name, cell_clip=None) for name in CONVENTIONS], ids=list(CONVENTIONS)
)
# torch says so once for an LSTM with projections, and then does it another way.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def layer_for(convention: Convention, dtype: torch.dtype = torch.float64, **options: Any) -> Recurrent:
    """A layer of the convention's kind, of random weights and biases, with zeros where the convention has no place."""
    torch.manual_seed(1)
    cell = convention.specification
    layer = getattr(nn, cell.layer)(3, 4, dtype=dtype, **convention.options, **options)
    missing = [gate for gate in convention.gates if ("bias_hh", gate) not in convention.held]
    with torch.no_grad():
        if layer.bias and convention.reset_after and convention.cell == "gru" and "n" in missing:
            for name, bias in layer.named_parameters():
                if "bias_hh" in name:
                    bias[cell.rows_of("n", 4)] = 0
    return layer


def equal(ours: Recurrent, theirs: Recurrent, tolerance: float) -> None:
    """Outputs and final states of two layers, from a state, with padding."""
    x, lengths = torch.randn(5, 3, 3, dtype=torch.float64), [5, 0, 1]
    state = ours(x)[1]
    found = []
    for layer in (ours, theirs):
        y, final, states = layer(x, state, lengths=lengths, return_states=True)
        found.append(
            (
                y,
                *(final if isinstance(final, tuple) else (final,)),
                *(states if isinstance(states, tuple) else (states,)),
            )
        )
    torch.testing.assert_close(*found, atol=tolerance, rtol=0)


@every_convention
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 3}, {"bias": False}], ids=str)
def test_a_layer_comes_back_from_every_convention(convention: Convention, options: dict[str, Any]) -> None:
    """The same in value; with a fold, or in the bits of every parameter."""
    layer, naming = layer_for(convention, **options), convention.namings[0]
    if ("num_layers" in options and "{layer}" not in naming.forward) or (
        "bidirectional" in options and not naming.both
    ):
        reason = "it has one layer, and this has 3" if "num_layers" in options else "it reads in one direction"
        with pytest.raises(
            UserError, match=rf"^{convention.name} has no equal of this {type(layer).__name__}: {reason}$"
        ):
            to_arrays(layer, convention)
        return
    arrays = to_arrays(layer, convention)
    again = from_arrays(convention, arrays)
    equal(layer, again, 1e-14)
    assert (again.num_layers, again.bidirectional) == (layer.num_layers, layer.bidirectional)
    ours, theirs = ({name: part.numpy().tobytes() for name, part in l.state_dict().items()} for l in (layer, again))
    assert (ours == theirs) != bool(arrays.folds), "a fold is recorded, and nothing else changes"
    # What came out and in and out again is the same in every bit, and nothing is folded twice.
    twice = to_arrays(again, convention)
    assert twice.folds == ()
    assert {name: part.tobytes() for name, part in arrays.items()} == {
        name: part.tobytes() for name, part in twice.items()
    }


@every_convention
def test_nothing_is_drawn_copied_lazily_or_left_unset(convention: Convention) -> None:
    arrays = to_arrays(layer_for(convention, torch.float32), convention)
    before = torch.get_rng_state()
    layer = from_arrays(convention, arrays)
    assert torch.equal(before, torch.get_rng_state())
    assert {parameter.device.type for parameter in layer.parameters()} == {"cpu"}
    assert {parameter.dtype for parameter in layer.parameters()} == {torch.float32}
    kept = {name: part.clone() for name, part in layer.state_dict().items()}
    for array in arrays.values():
        array[...] = 0
    assert all(torch.equal(part, kept[name]) for name, part in layer.state_dict().items())
    torch.autograd.grad(layer(torch.randn(2, 1, 3))[0].sum(), [*layer.parameters()])


FORMS: list[dict[str, Any]] = [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}]
OF_TORCH = [(kind, form) for kind in ("RNN", "GRU", "LSTM") for form in FORMS]
OF_TORCH += [("LSTM", {"proj_size": 2, "num_layers": 2}), ("LSTM", {"proj_size": 2, "bidirectional": True})]


@pytest.mark.parametrize(("kind", "options"), OF_TORCH, ids=str)
def test_torch_s_own_layers_come_in_and_go_out(kind: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(3, 5, **options)
    ours = from_arrays(f"torch.{kind}", {f"encoder.rnn.{name}": part for name, part in theirs.state_dict().items()})
    x = torch.randn(6, 2, 3)
    pack = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([6, 1]))
    state = theirs(x)[1]
    torch.testing.assert_close(ours(pack, state), theirs(pack, state), atol=1e-6, rtol=0)
    out = to_arrays(ours, f"torch.{kind}")
    assert out.folds == ()
    assert {name: part.tobytes() for name, part in out.items()} == {
        name: part.numpy().tobytes() for name, part in theirs.state_dict().items()
    }


lstms = st.sampled_from([row for row in CONVENTIONS.values() if row.cell == "lstm" and row.cell_clip is None])


@settings(max_examples=40, deadline=None)
@given(lstms, lstms, st.integers(1, 4), st.integers(1, 4), st.sampled_from(["float16", "float32", "float64"]))
def test_from_any_lstm_to_any_other(a: Convention, b: Convention, D: int, H: int, dtype: str) -> None:
    layer = nn.LSTM(D, H, dtype=getattr(torch, dtype))
    first = to_arrays(layer, a)
    second = to_arrays(from_arrays(a, first), b)
    back = to_arrays(from_arrays(b, second), a)
    tolerance = {"float16": 1e-2, "float32": 1e-6, "float64": 1e-14}[dtype]
    assert first.keys() == back.keys()
    total = sum(array.astype(np.float64).sum() for array in first.values())
    assert total == pytest.approx(sum(array.astype(np.float64).sum() for array in back.values()), abs=100 * tolerance)
    equal_to = from_arrays(a, back).double()
    x = torch.randn(4, 2, D, dtype=torch.float64)
    torch.testing.assert_close(equal_to(x)[0], layer.double()(x)[0], atol=10 * tolerance, rtol=0)


def test_folds_are_said() -> None:
    lstm = nn.LSTM(3, 4)
    assert to_arrays(lstm, "keras.LSTM").folds == ("bias_hh_l0 of i, f, g, o is added to bias_ih_l0",)
    assert to_arrays(lstm, "flax.linen.LSTMCell").folds == ("bias_ih_l0 of i, f, g, o is added to bias_hh_l0",)
    assert to_arrays(lstm, "torch.LSTM").folds == ()
    gru = layer_for(convention_named("flax.nnx.GRUCell"))
    assert to_arrays(gru, "flax.nnx.GRUCell").folds == ("bias_hh_l0 of r, z is added to bias_ih_l0",)
    bare = nn.LSTM(3, 4, bias=False)
    assert to_arrays(bare, "mlx.LSTM").folds == ()
    assert set(to_arrays(bare, "mlx.LSTM")) == {"Wx", "Wh"}
    said = ("bias_ih_l0 and bias_hh_l0, which the layer does not have, are taken for zeros",)
    assert to_arrays(bare, "flax.linen.LSTMCell").folds == said
    haiku = to_arrays(bare, "haiku.LSTM")
    assert haiku["lstm/linear/b"].tolist() == [0] * 8 + [-1] * 4 + [0] * 4  # i g f o: what the framework adds
    assert haiku.folds[0] == said[0]


def test_an_offset_stands_in_the_bias_that_a_framework_lacks() -> None:
    b = np.random.default_rng(0).standard_normal(16).astype(np.float32) / 3
    layer = from_arrays("haiku.LSTM", {"w": np.ones((7, 16), np.float32), "b": b})
    assert layer.bias_hh_l0.tolist() == [0] * 4 + [1] * 4 + [0] * 8
    assert layer.bias_ih_l0[4:8].tolist() == b[8:12].tolist(), "no bit of a weight is rounded"
    assert (layer.input_size, layer.hidden_size) == (3, 4)


WRONG: list[tuple[Any, str, str]] = [
    (nn.GRU(3, 4), "haiku.GRU", r"its reset_after is False, the layer's True, and \(r \* h\) W is not r \* \(h W\)"),
    (nn.GRU(3, 4, reset_after=False), "torch.GRU", r"its reset_after is True, the layer's False, and \(r \* h\) W"),
    (nn.GRU(3, 4), "onnx.GRU", "its reset_after is False"),
    (nn.Elman(3, 4), "haiku.VanillaRNN", "its nonlinearity is 'relu', the layer's 'tanh'"),
    (nn.Elman(3, 4, nonlinearity="relu"), "keras.SimpleRNN", "its nonlinearity is 'tanh', the layer's 'relu'"),
    (nn.LSTM(3, 4), "torch.GRU", "it is a convention of GRU"),
    (nn.LSTM(3, 4, proj_size=2), "keras.LSTM", "it has no array for weight_hr_l0"),
    (nn.LSTM(3, 4, peepholes=True), "torch.LSTM", "it has no array for weight_peephole_l0"),
    (
        nn.LSTM(3, 4, layer_norm=True),
        "torch.LSTM",
        "it has no array for gain_ih_l0, gain_hh_l0, gain_cell_l0, bias_cell",
    ),
    (nn.LSTM(3, 4, zoneout=0.1), "torch.LSTM", "it knows no zoneout"),
    (nn.LSTM(3, [4, 5]), "torch.LSTM", "all its layers have one size"),
    (nn.LSTM(3, 4), "tensorflow.BlockLSTM", "c is clipped to ±3 at every step, and elman clips no state"),
]


@pytest.mark.parametrize(("layer", "name", "reason"), WRONG, ids=[f"{type(w[0]).__name__} {w[1]}" for w in WRONG])
def test_what_a_framework_cannot_compute_is_refused(layer: Recurrent, name: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^{name} has no equal of this {type(layer).__name__}: {reason}"):
        to_arrays(layer, name)


def test_a_second_bias_of_n_is_refused_where_there_is_no_place_for_it() -> None:
    with pytest.raises(
        UserError, match=r"has one bias of n, and .* acts on bias_hh_l0 alone: expected zeros in bias_hh"
    ):
        to_arrays(nn.GRU(3, 4), "flax.nnx.GRUCell")
    assert to_arrays(nn.GRU(3, 4), "flax.linen.GRUCell").folds == ("bias_hh_l0 of r, z is added to bias_ih_l0",)


GIVEN = {"kernel": np.ones((3, 16)), "recurrent_kernel": np.ones((4, 16)), "bias": np.ones(16)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bias": np.ones((2, 16))}, r"keras.LSTM: bias: expected the shape \(16,\), got \(2, 16\)"),
        ({"recurrent_kernel": np.ones((16, 4))}, r"keras.LSTM: recurrent_kernel: expected the shape \(4, 16\)"),
        ({"kernel": np.ones(16)}, r"keras.LSTM: kernel: expected two dimensions, got the shape \(16,\)"),
        ({"kernel": np.ones((3, 15))}, r"keras.LSTM: kernel: expected the shape \(3, 12\), got \(3, 15\)"),
        ({"kernel": None}, r"keras.LSTM: expected arrays named .*cell.kernel.*, got no cell.kernel"),
        ({"gamma": np.ones(4)}, r"keras.LSTM: expected arrays named .*, got gamma"),
        ({"bias": np.ones(16, np.float32)}, r"expected one dtype of float16, .*, got float32 and float64"),
        ({name: array.astype(int) for name, array in GIVEN.items()}, r"expected one dtype .*, got int64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    from_arrays("keras.LSTM", GIVEN)
    with pytest.raises(UserError, match=message):
        from_arrays("keras.LSTM", GIVEN | changes)


def test_a_stack_is_not_taken_for_something_else() -> None:
    """Two cells of Flax in one tree may be a stack or two directions: nobody can tell, and nothing is guessed."""
    cell = to_arrays(nn.LSTM(4, 4), "flax.linen.LSTMCell")
    with pytest.raises(UserError, match=r"expected arrays named ii/kernel, .*, got LSTMCell_1/ii/kernel"):
        from_arrays("flax.linen.LSTMCell", {"LSTMCell_0": cell, "LSTMCell_1": cell})
    arrays = to_arrays(nn.LSTM(4, 4, 2), "torch.LSTM")
    for name in ("weight_hh_l1", "bias_ih_l0", "bias_hh_l1"):
        with pytest.raises(UserError, match=rf"got no {name}$"):
            from_arrays("torch.LSTM", {key: part for key, part in arrays.items() if key != name})
    with pytest.raises(UserError, match=r"weight_ih: expected the shape \(16, 4\), got \(16, 5\)"):
        from_arrays("torch.LSTM", arrays | {"weight_ih_l1": np.ones((16, 5), np.float32)})


def test_peepholes_come_all_or_not_at_all() -> None:
    convention = convention_named("tensorflow.BlockLSTM", cell_clip=None)
    layer = nn.LSTM(3, 4, peepholes=True)
    arrays = to_arrays(layer, convention)
    assert {"wci", "wcf", "wco"} < set(arrays)
    assert torch.equal(from_arrays(convention, arrays).weight_peephole_l0, layer.weight_peephole_l0)
    del arrays["wcf"]
    with pytest.raises(UserError, match=r"^tensorflow.BlockLSTM: expected all of wci, wcf, wco or none, got 2$"):
        from_arrays(convention, arrays)


def test_a_call_with_other_arguments_is_another_convention() -> None:
    hard = convention_named("keras.LSTM", activations=("hard_sigmoid", "tanh", "tanh"))
    with pytest.raises(
        UserError, match="its activations are hard_sigmoid, tanh, tanh, and those of elman's lstm are sig"
    ):
        from_arrays(hard, GIVEN)
    assert (
        from_arrays(convention_named("mlx.RNN", activations=("relu",)), to_arrays(nn.RNN(3, 4), "mlx.RNN")).cell
        == "elman_relu"
    )
    plain = convention_named("haiku.LSTM", forget_offset=0.0)
    assert not from_arrays(plain, {"w": np.ones((7, 16)), "b": np.ones(16)}).bias_hh_l0.any()
    with pytest.raises(
        UserError, match=r"expected the name of a row of `elman interop`, got 'keras.LTSM'; did you mean 'keras"
    ):
        from_arrays("keras.LTSM", GIVEN)


def test_arrays_of_every_form() -> None:
    """Parameters that want gradients, lists, the other order of bytes, layouts in memory; and what is no layer."""
    theirs = torch.nn.GRU(3, 4)
    layer = from_arrays("torch.GRU", dict(theirs.named_parameters()))
    for form in (lambda a: a.astype(">f4"), np.asfortranarray, lambda a: np.repeat(a, 2, axis=0)[::2]):
        arrays = {name: form(part.numpy()) for name, part in theirs.state_dict().items()}
        for name, part in from_arrays("torch.GRU", arrays).state_dict().items():
            assert torch.equal(part, layer.state_dict()[name])
    with pytest.raises(
        UserError, match=r"to_arrays: expected a layer of elman.nn, got GRU; a layer of torch.nn becomes"
    ):
        to_arrays(theirs, "torch.GRU")  # type: ignore[arg-type]


def test_a_state_dict_of_paddle_has_every_array_twice_and_perhaps_a_path() -> None:
    layer = nn.LSTM(3, 4, 2, bidirectional=True)
    paths = to_arrays(layer, "paddle.LSTM")
    flat = to_arrays(layer, "torch.LSTM")
    for arrays in (paths, flat, {**flat, **paths}, {f"rnn.{name}": part for name, part in {**paths, **flat}.items()}):
        again = from_arrays("paddle.LSTM", arrays)
        assert {name: part.tobytes() for name, part in to_arrays(again, "torch.LSTM").items()} == {
            name: part.tobytes() for name, part in flat.items()
        }
    with pytest.raises(UserError, match=r"got rnn2.0.cell_fw.weight_ih"):
        from_arrays("paddle.LSTM", {"rnn": paths, "rnn2": paths})


def test_options_of_the_layer() -> None:
    layer = from_arrays("keras.LSTM", GIVEN, batch_first=True, backend="reference")
    assert layer.batch_first
    assert layer(torch.zeros(2, 7, 3, dtype=torch.float64))[0].shape == (2, 7, 4)
    with pytest.raises(UserError, match=r"to_arrays: expected a layer of float16, .*, got bfloat16; layer.float\(\)"):
        to_arrays(layer.bfloat16(), "keras.LSTM")


def test_weights_under_a_parametrization_are_those_that_a_call_uses() -> None:
    class Doubled(torch.nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    layer = nn.GRU(3, 4, weight_dropout=0.5)  # training, and no weight is dropped
    weight = layer.weight_hh_l0.detach().clone()
    torch.nn.utils.parametrize.register_parametrization(layer, "weight_hh_l0", Doubled())
    np.testing.assert_array_equal(to_arrays(layer, "torch.GRU")["weight_hh_l0"], 2 * weight.numpy())
