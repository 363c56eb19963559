import copy

import pytest
import torch
from torch import nn

from elman.errors import UserError
from elman.models import RecurrentLM

TORCH = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
DROPOUTS = (
    "dropout_embedding",
    "dropout_input",
    "dropout_hidden",
    "dropout_output",
    "weight_dropout",
    "recurrent_dropout",
)
every_cell = pytest.mark.parametrize("cell", TORCH)


@every_cell
@pytest.mark.parametrize(("tied", "residual"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize(("B", "T", "H"), [(1, 1, 5), (3, 33, 5), (2, 7, 64)])
def test_against_a_stack_of_torch_layers_with_the_same_weights(cell, tied, residual, B, T, H):
    torch.manual_seed(0)
    model = RecurrentLM(cell, 9, embedding_size=4, hidden_size=H, num_layers=3, tied=tied, residual=residual).double()
    stack = [TORCH[cell](layer.input_size, layer.hidden_size).double() for layer in model.layers]
    for theirs, ours in zip(stack, model.layers, strict=True):
        theirs.load_state_dict(ours.state_dict())
    assert [layer.hidden_size for layer in stack] == [H, H, 4 if tied else H]

    tokens = torch.randint(9, (B, T))
    x = model.embedding.weight[tokens.t()]
    finals = []
    for layer in stack:
        y, final = layer(x)
        x = x + y if residual and layer.input_size == layer.hidden_size else y
        finals.append(final)
    expected = (x @ model.decoder.weight.T + model.decoder.bias).transpose(0, 1)

    logits, state = model(tokens)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    for memory, final in zip(state, finals, strict=True):
        assert (getattr(memory, "_fields", ()) == ("h", "c")) == (cell == "lstm")
        for ours, theirs in zip(
            memory if cell == "lstm" else [memory], final if cell == "lstm" else [final], strict=True
        ):
            torch.testing.assert_close(ours, theirs[0], rtol=0, atol=1e-12)

    direction = torch.randn_like(logits)
    shared = [model.embedding.weight, model.decoder.weight]
    got = torch.autograd.grad(logits, [*shared, *model.layers.parameters()], direction, retain_graph=True)
    theirs = [parameter for layer in stack for parameter in layer.parameters()]
    for gradient, wanted in zip(got, torch.autograd.grad(expected, [*shared, *theirs], direction), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-9)


def test_tied_weights_are_one_parameter():
    tied = RecurrentLM("gru", 30, embedding_size=6, hidden_size=8, num_layers=2, tied=True)
    assert tied.decoder.weight is tied.embedding.weight
    assert tied.layers[-1].hidden_size == 6
    alone = RecurrentLM("gru", 30, embedding_size=6, hidden_size=8, num_layers=2)
    assert alone.decoder.weight is not alone.embedding.weight
    # A copy, as a checkpoint or a fork of the model makes one, still shares.
    again = copy.deepcopy(tied)
    assert again.decoder.weight is again.embedding.weight


@every_cell
def test_every_dropout_is_random_in_training_and_off_in_eval(cell):
    torch.manual_seed(0)
    model = RecurrentLM(cell, 9, hidden_size=16, num_layers=2, **dict.fromkeys(DROPOUTS, 0.5))
    plain = RecurrentLM(cell, 9, hidden_size=16, num_layers=2)
    plain.load_state_dict(model.state_dict())
    tokens = torch.randint(9, (3, 7))
    torch.testing.assert_close(model.eval()(tokens)[0], plain(tokens)[0], rtol=0, atol=0)
    for name in DROPOUTS:
        some = RecurrentLM(cell, 9, hidden_size=16, num_layers=2, **{name: 0.5})
        some.load_state_dict(model.state_dict())
        assert not some(tokens)[0].equal(some(tokens)[0]), name
        assert some.eval()(tokens)[0].equal(some(tokens)[0]), name


def test_dropout_of_hidden_states_is_locked_over_time():
    torch.manual_seed(0)
    model = RecurrentLM("lstm", 9, hidden_size=64, dropout_output=0.5)
    dropped = model.read(torch.randint(9, (3, 33)))[0] == 0  # (B, T, H)
    assert dropped.any()
    assert (dropped == dropped[:, :1]).all()
    assert not dropped[0, 0].equal(dropped[1, 0])


def test_weight_dropout_takes_entries_of_the_recurrent_matrices_alone():
    """A connection that is dropped has no gradient in that call; one matrix serves all steps."""
    torch.manual_seed(0)
    model = RecurrentLM("gru", 9, hidden_size=12, weight_dropout=0.5)
    model(torch.randint(9, (3, 7)))[0].pow(2).sum().backward()
    missing = {name: (p.grad == 0).double().mean().item() for name, p in model.named_parameters() if "layers" in name}
    assert 0.4 < missing.pop("layers.0.weight_hh_l0") < 0.6
    assert set(missing.values()) == {0.0}


@every_cell
def test_recomputation_is_that_of_every_layer_and_changes_no_gradient(cell):
    torch.manual_seed(0)
    models = [RecurrentLM(cell, 9, hidden_size=6, num_layers=2, recompute=flag).double() for flag in (False, True)]
    assert [[layer.recompute for layer in model.layers] for model in models] == [[False] * 2, [True] * 2]
    models[1].load_state_dict(models[0].state_dict())
    tokens, resets = torch.randint(9, (3, 33)), torch.rand(3, 33) < 0.1
    results = []
    for model in models:
        logits, _ = model(tokens, resets=resets, lengths=torch.tensor([33, 0, 20]))
        results.append([logits, *torch.autograd.grad(logits.pow(2).sum(), list(model.parameters()))])
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_layers": 0}, "num_layers: expected greater than or equal to 1, got 0"),
        ({"dropout_hidden": 1.0}, "dropout_hidden: expected less than 1, got 1.0"),
        ({"zoneout": 1.0}, "zoneout: expected less than 1, got 1.0"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(UserError, match=message):
        RecurrentLM("lstm", 9, **arguments)


@pytest.mark.parametrize("cell", ["elman", "gru"])
@pytest.mark.parametrize("argument", [{"peepholes": True}, {"zoneout_cell": 0.1}])
def test_what_the_lstm_alone_has(cell, argument):
    with pytest.raises(UserError, match=f"{next(iter(argument))}: expected the cell 'lstm'.*, got '{cell}'"):
        RecurrentLM(cell, 9, **argument)
    RecurrentLM("lstm", 9, hidden_size=4, **argument)


@every_cell
def test_variations_are_those_of_every_layer(cell):
    torch.manual_seed(0)
    given = {"recurrent_dropout": 0.1, "zoneout": 0.2, "layer_norm": True}
    given |= {"zoneout_cell": 0.3, "peepholes": True} if cell == "lstm" else {}
    model = RecurrentLM(cell, 9, hidden_size=6, num_layers=2, **given)
    for layer in model.layers:
        assert {name: getattr(layer, name) for name in given} == given
        assert (layer.gain_ih_l0 == 1).all()
        assert (layer.gain_hh_l0 == 1).all()
    tokens = torch.randint(9, (3, 7))
    assert not model(tokens)[0].equal(model(tokens)[0])
    model(tokens)[0].pow(2).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    model.eval()
    assert model(tokens)[0].equal(model(tokens)[0])


def test_an_unknown_cell_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'lstm'"):
        RecurrentLM("lstn", 9)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@every_cell
def test_a_trace_serves_other_batches_and_lengths(cell):
    model = RecurrentLM(cell, 9, hidden_size=5, num_layers=2).eval()
    traced, tokens = torch.jit.trace(model, (torch.randint(9, (3, 7)),)), torch.randint(9, (2, 4))
    torch.testing.assert_close(traced(tokens)[0], model(tokens)[0])
