"""Classifiers: the law of the state contract, padding, what is missing, and the forms of input they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman import state as states
from elman.cells import CELLS
from elman.errors import UserError
from elman.models.classifier import Classifier, build_classifier
from elman.models.configuration import CLASSIFIER_SETTINGS
from elman.nn.pooling import Pooling

VOCABULARY, CHANNELS, K = 11, 3, 4
SMALL = {"hidden_size": 8, "num_layers": 2, "outputs": K}
TRANSFORMER = {"model": "transformer", "num_heads": 2}
CAUSAL = {
    **{cell: {"model": cell, "bidirectional": False} for cell in CELLS},
    "transformer": TRANSFORMER | {"is_causal": True, "window": 5},
}
WHOLE = {"gru": {"model": "gru", "embedding_size": 5}, "transformer": TRANSFORMER}
POOLINGS = ("last", "mean", "max", "attention")


def make(inputs: str = "tokens", **config) -> Classifier:
    torch.manual_seed(0)
    form = {"vocab_size": VOCABULARY} if inputs == "tokens" else {"channels": CHANNELS, "missing": True}
    model = build_classifier(SMALL | form | config).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def some_inputs(inputs: str, B: int, T: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if inputs == "tokens":
        return torch.randint(VOCABULARY, (B, T), generator=generator)
    values = torch.randn(B, T, CHANNELS, generator=generator, dtype=torch.float64)
    return values.masked_fill(torch.rand(values.shape, generator=generator) < 0.2, math.nan)


@st.composite
def readings(draw: st.DrawFn) -> tuple[int, list[int], Tensor, Tensor, int]:
    """B, the sizes of the pieces, lengths (B,), resets (B, T), a seed."""
    B = draw(st.integers(1, 3))
    pieces = draw(st.lists(st.integers(0, 7), min_size=1, max_size=4))
    T = sum(pieces)
    lengths = torch.tensor(draw(st.lists(st.integers(0, T), min_size=B, max_size=B)))
    resets = torch.tensor(draw(st.lists(st.integers(0, 7), min_size=B * T, max_size=B * T))).view(B, T) == 0
    return B, pieces, lengths, resets, draw(st.integers(0, 99))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("inputs", ["tokens", "series"])
@pytest.mark.parametrize("name", CAUSAL)
@settings(max_examples=8, deadline=None)
@given(reading=readings())
def test_reading_in_pieces_equals_reading_whole(name, inputs, pooling, reading):
    B, pieces, lengths, resets, seed = reading
    model, given_inputs = make(inputs, pooling=pooling, **CAUSAL[name]), some_inputs(inputs, B, sum(pieces), seed)
    with torch.no_grad():
        whole, state = model(given_inputs, lengths=lengths, resets=resets)
        split, begin, memory = whole, 0, None
        for size in pieces:
            step = slice(begin, begin + size)
            left = (lengths - begin).clamp(0, size)
            split, memory = model(given_inputs[:, step], memory, lengths=left, resets=resets[:, step])
            begin += size
        torch.testing.assert_close(split, whole, rtol=0, atol=1e-10)
        further = some_inputs(inputs, B, 3, seed=100)
        torch.testing.assert_close(model(further, memory)[0], model(further, state)[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("inputs", ["tokens", "series"])
@pytest.mark.parametrize("config", [*CAUSAL.values(), *WHOLE.values()], ids=str)
def test_the_logits_of_a_row_do_not_depend_on_its_batch(config, inputs, pooling):
    model, lengths = make(inputs, pooling=pooling, **config), torch.tensor([9, 1, 4])
    batch = some_inputs(inputs, 3, 9)
    with torch.no_grad():
        together, _ = model(batch, lengths=lengths)
        for row, length in enumerate(lengths.tolist()):
            alone, _ = model(batch[row : row + 1, :length])
            torch.testing.assert_close(together[row], alone[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_fresh_memory_is_zeros_and_goes_on_in_any_rows(name):
    model = make(**CAUSAL[name])
    assert all(leaf.shape[0] == 3 and not leaf.any() for leaf in states.leaves(model.initial_state(3)))
    tokens, further, rows = some_inputs("tokens", 3, 9), some_inputs("tokens", 3, 4, 2), torch.tensor([2, 0, 0])
    with torch.no_grad():
        torch.testing.assert_close(model(tokens, model.initial_state(3))[0], model(tokens)[0], rtol=0, atol=1e-12)
        _, state = model(tokens, lengths=[9, 0, 4])
        chosen, _ = model(further[rows], states.select_rows(state, rows))
        torch.testing.assert_close(chosen, model(further, state)[0][rows], rtol=0, atol=1e-12)


@pytest.mark.parametrize("config", WHOLE.values(), ids=str)
def test_a_model_of_the_whole_refuses_a_step(config):
    model = make(**config)
    _, state = model(some_inputs("tokens", 2, 3))
    assert (state, model.initial_state(2), model.causal) == ((), (), False)
    with pytest.raises(UserError, match="needs the whole sequence"):
        model(some_inputs("tokens", 2, 3), state)


def test_the_last_states_of_two_directions_are_those_at_both_ends():
    model = make(pooling="last", model="lstm")
    tokens, lengths = some_inputs("tokens", 2, 6), [6, 3]
    hidden, _ = model.encoder(model.embed(tokens), lengths=lengths)
    ends = torch.stack(
        [torch.cat((hidden[row, length - 1, :4], hidden[row, 0, 4:])) for row, length in enumerate(lengths)]
    )
    torch.testing.assert_close(model(tokens, lengths=lengths)[0], model.output(ends), rtol=0, atol=1e-12)


def test_a_missing_value_is_the_mean_with_a_flag_where_the_model_has_one():
    values = some_inputs("series", 2, 5).nan_to_num(0.5)
    spoilt, mean = values.clone(), values.clone()
    spoilt[0, 2, 1], mean[0, 2, 1] = math.nan, 0
    flagged, plain = make("series", model="gru"), make("series", model="gru", missing=False)
    assert torch.equal(plain(spoilt)[0], plain(mean)[0])
    assert not torch.equal(flagged(spoilt)[0][0], flagged(mean)[0][0])
    assert torch.equal(flagged(spoilt)[0][1], flagged(mean)[0][1])


def test_no_gradient_flows_back_beyond_k2_steps():
    """Of the last pool: gradients reach the last stretch alone."""
    model = make("series", model="gru", bidirectional=False, pooling="last")
    values = some_inputs("series", 1, 10).nan_to_num(0.0).requires_grad_()
    logits, _ = model(values, k2=4)
    torch.testing.assert_close(logits, model(values)[0], rtol=0, atol=1e-12)
    reached = torch.autograd.grad(logits.sum(), values)[0].abs().sum((0, 2)) > 0
    assert reached.tolist() == [False] * 8 + [True] * 2
    with pytest.raises(UserError, match="k2"):
        make("series", model="gru")(values, k2=4)


def test_probabilities_are_those_of_the_temperature():
    logits = torch.tensor([[2.0, 0.0, -1.0, 1.0]])
    model = make(model="gru", kind_of_labels="class")
    model.temperature.fill_(2.0)
    torch.testing.assert_close(model.probabilities(logits), (logits.double() / 2).softmax(-1))
    several = make(model="gru", kind_of_labels="several")
    several.temperature.fill_(0.5)
    torch.testing.assert_close(several.probabilities(logits), (logits.double() * 2).sigmoid())


def test_the_fitted_numbers_are_part_of_the_weights():
    names = make(model="gru").state_dict()
    assert {"temperature", "thresholds"} <= names.keys()
    assert names["thresholds"].shape == (K,)


@pytest.mark.parametrize("name", CLASSIFIER_SETTINGS)
def test_a_model_is_made_again_of_its_config(name):
    config = make("series", model=name, pooling="attention", hidden_size=16).config
    assert build_classifier(config).config == config


def test_attention_is_shown_over_the_real_steps():
    model = make(model="gru", pooling="attention")
    tokens, lengths = some_inputs("tokens", 2, 6), [6, 2]
    weights = model.pooling_weights(tokens, lengths=lengths)
    hidden, _ = model.encoder(model.embed(tokens), lengths=lengths)
    assert isinstance(model.pool, Pooling)
    pooled = (weights.unsqueeze(1) @ hidden)[:, 0]
    torch.testing.assert_close(model.output(pooled), model(tokens, lengths=lengths)[0], rtol=0, atol=1e-12)
    assert not weights[1, 2:].any()


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"model": "gnu", "vocab_size": 5, "outputs": 2}, "did you mean 'gru'"),
        ({"model": "gru", "outputs": 2}, "either a vocab_size or a number of channels"),
        ({"model": "gru", "vocab_size": 5, "channels": 2, "outputs": 2}, "either a vocab_size or a number of channels"),
        ({"model": "gru", "vocab_size": 5, "outputs": 0}, "outputs: expected from 1"),
        ({"model": "gru", "vocab_size": "5", "outputs": 2}, "vocab_size"),
        ({"model": "gru", "vocab_size": 5, "outputs": 2, "pooling": "min"}, "pooling"),
        ({"model": "gru", "vocab_size": 5, "outputs": 2, "num_heads": 2}, "num_heads: no setting of the model 'gru'"),
        ({"model": "transformer", "vocab_size": 5, "outputs": 2, "hidden_size": 30, "num_heads": 4}, "num_heads"),
    ],
)
def test_what_does_not_fit_is_refused(config, complaint):
    with pytest.raises(UserError, match=complaint):
        build_classifier(config)


def test_inputs_of_another_kind_are_refused():
    with pytest.raises(UserError, match=r"values of shape \(B, T, 3\)"):
        make("series", model="gru")(torch.zeros(2, 5, 4))
    with pytest.raises(UserError, match="vocabulary"):
        make(model="gru")(torch.full((1, 2), VOCABULARY))


def test_a_word_of_ngrams_is_the_scaled_sum_of_their_vectors():
    model = build_classifier(SMALL | {"model": "gru", "vocab_size": VOCABULARY, "ngrams": True}).double().eval()
    numbers = torch.tensor([[[3, 5, 5, 0], [0, 0, 0, 0], [7, 0, 0, 0]]])
    E = model.embedding.weight
    expected = torch.stack([(E[3] + 2 * E[5]) / 3**0.5, torch.zeros_like(E[0]), E[7]])
    torch.testing.assert_close(model.embed(numbers)[0], expected)
    logits, _ = model(numbers.expand(2, 3, 4), lengths=[3, 1])
    torch.testing.assert_close(model(numbers[:, :1])[0][0], logits[1])
    with pytest.raises(UserError, match="3 dimensions"):
        model(numbers[0])
