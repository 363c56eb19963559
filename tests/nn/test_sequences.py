"""Lengths, resets and tokens in every form that people have them in, and what is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from elman.decode.ancestral import greedy_search, sample_targets
from elman.decode.beam import beam_search
from elman.decode.constraints import Constraints
from elman.errors import UserError
from elman.lens import (
    attention_weights,
    gradient_flow,
    induction_scores,
    loss_gradients,
    source_gradients,
    step_jacobian,
    truncation,
    visit_layers,
)
from elman.models import build, build_encoder_decoder
from elman.nn import GRU, LSTM, Elman
from elman.nn.sequences import as_lengths, as_tokens
from elman.state import leaves

LENGTHS = [4, 0, 3]
RESETS = [[False, True, False, False], [True] * 4, [False] * 4]
FORMS: list[Callable[[Any], Any]] = [
    list,
    tuple,
    np.array,
    *(lambda x, d=dtype: np.array(x, d) for dtype in ("uint8", "int16", "uint16", "uint32", "int64", "uint64")),
    *(lambda x, d=dtype: torch.tensor(x, dtype=d) for dtype in (torch.uint8, torch.int32, torch.uint16, torch.uint64)),
    lambda x: [*map(torch.tensor, x)],
    lambda x: [*map(np.array, x)],
]
FORM = "expected a tensor, an array or lists of equal lengths, of numbers of at most 64 bits or booleans"
RECURRENT = ["elman", "gru", "lstm"]


def same(found: Any, expected: Any) -> None:
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layer", [Elman, GRU, LSTM])
def test_lengths_of_a_layer_in_any_form(layer: Any, form: Callable[[Any], Any]) -> None:
    torch.manual_seed(1)
    read, x = layer(2, 3, bidirectional=True), torch.randn(4, 3, 2)
    same(read(x, lengths=form(LENGTHS)), read(x, lengths=torch.tensor(LENGTHS)))


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda x: [*map(np.array, x)]])
def test_resets_of_a_layer_in_any_form(form: Callable[[Any], Any]) -> None:
    torch.manual_seed(1)
    read, x = GRU(2, 3), torch.randn(4, 3, 2)
    expected = read(x, resets=torch.tensor(RESETS))
    same(read(x, resets=form(RESETS)), expected)
    packed = pack_sequence(list(x.transpose(0, 1)))
    same(read(packed, resets=form(RESETS))[1], expected[1])
    one = read(x[:, 0], lengths=3, resets=form(RESETS[0]))
    same(one, read(x[:, 0], lengths=torch.tensor(3), resets=torch.tensor(RESETS[0])))


def test_a_batch_of_nothing_has_empty_lists() -> None:
    read = LSTM(2, 3)
    assert read(torch.zeros(4, 0, 2), lengths=[])[0].shape == (4, 0, 3)
    assert build({"model": "gru", "vocab_size": 5}).read(torch.zeros(1, 0, dtype=torch.uint8))[0].shape[:2] == (1, 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lengths": [5, 4, 3]}, "lengths: expected from 0 to 4 (the input's steps), got [5, 4, 3]"),
        ({"lengths": [-1, 4, 3]}, "lengths: expected from 0 to 4 (the input's steps), got [-1, 4, 3]"),
        ({"lengths": [4, 3]}, "lengths: expected integers of shape (3,), got torch.int64 of shape (2,)"),
        ({"lengths": [4.0, 3.0, 1.0]}, "lengths: expected integers of shape (3,), got torch.float32 of shape (3,)"),
        ({"lengths": [True] * 3}, "lengths: expected integers of shape (3,), got torch.bool of shape (3,)"),
        ({"lengths": [1j] * 3}, "lengths: expected integers of shape (3,), got torch.complex64 of shape (3,)"),
        ({"lengths": "abc"}, f"lengths: {FORM}, got str 'abc'"),
        ({"lengths": [[1], [2, 3]]}, f"lengths: {FORM}, got list [[1]"),
        (
            {"lengths": [1, None, 2]},
            f"lengths: {FORM}, got list [1, None",
        ),
        ({"lengths": [2**70] * 3}, f"lengths: {FORM}, got list [118"),
        ({"lengths": np.array([2**63 + 1] * 3, "uint64")}, "lengths: expected from 0 to 4 (the input's steps), got [-"),
        ({"resets": [[0] * 4] * 3}, "resets: expected a boolean mask of shape (3, 4), got torch.int64 of shape (3, 4)"),
        (
            {"resets": [[True] * 3] * 4},
            "resets: expected a boolean mask of shape (3, 4), got torch.bool of shape (4, 3)",
        ),
        ({"resets": [np.ones(4, bool), np.ones(3, bool)]}, f"resets: {FORM}, got list [array("),
        ({"resets": [np.ones(4, bool), None]}, f"resets: {FORM}, got list [array("),
        ({"resets": {}}, f"resets: {FORM}, got dict {{}}"),
    ],
)
@pytest.mark.parametrize("model", ["layer", "packed", *RECURRENT, "transformer"])
def test_what_is_no_length_and_no_reset(model: str, given: dict[str, Any], message: str) -> None:
    x: Any = torch.zeros(4, 3, 2)
    if model == "packed":
        if "lengths" in given:
            pytest.skip("a pack has its own lengths")
        x = pack_sequence(list(x.transpose(0, 1)))
    read, given_x = (GRU(2, 3), x) if model in ("layer", "packed") else (language_model(model), TOKENS)
    with pytest.raises(UserError) as caught:
        read(given_x, **given)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


SMALL: dict[str, dict[str, Any]] = {**{cell: {} for cell in RECURRENT}, "transformer": {"num_heads": 2}}
TOKENS = torch.tensor([[1, 2, 3, 4], [4, 0, 0, 1], [2, 2, 1, 0]], dtype=torch.uint16)  # as `encode` gives them


def language_model(kind: str, **options: Any) -> Any:
    torch.manual_seed(1)
    sizes = {"vocab_size": 5, "hidden_size": 4, "num_layers": 2}
    return build({"model": kind, **sizes, **SMALL[kind], **options}).eval()


def encoder_decoder(kind: str) -> Any:
    torch.manual_seed(1)
    return build_encoder_decoder(
        {"model": kind, "source_vocab_size": 5, "vocab_size": 6, "hidden_size": 4, **SMALL[kind]}
    ).eval()


@pytest.mark.parametrize("form", [lambda x: x, Tensor.int, Tensor.numpy, Tensor.tolist, lambda x: x.to(torch.uint8)])
@pytest.mark.parametrize("kind", SMALL)
def test_tokens_of_a_language_model_in_any_form(kind: str, form: Callable[[Tensor], Any]) -> None:
    model = language_model(kind, **({} if kind == "transformer" else {"dropout_embedding": 0.5}))
    lengths, resets = torch.tensor(LENGTHS), torch.tensor(RESETS)
    expected = model(TOKENS.long(), lengths=lengths, resets=resets)
    same(model(form(TOKENS), lengths=LENGTHS, resets=np.array(RESETS)), expected)
    model.train()  # where whole words are dropped, which asks for the tokens once more
    assert model(form(TOKENS))[0].shape == (3, 4, 5)


@pytest.mark.parametrize("form", [lambda x: x, Tensor.numpy, Tensor.tolist])
@pytest.mark.parametrize("kind", SMALL)
def test_tokens_of_an_encoder_decoder_in_any_form(kind: str, form: Callable[[Tensor], Any]) -> None:
    model = encoder_decoder(kind)
    lengths = torch.tensor([4, 1, 3])
    state = model.encode(TOKENS.long(), lengths)
    expected = model(TOKENS.long(), state, lengths=torch.tensor(LENGTHS))
    same(model(form(TOKENS), model.encode(form(TOKENS), [4, 1, 3]), lengths=LENGTHS), expected)
    same(model.align(form(TOKENS), state), model.align(TOKENS.long(), state))
    same(model(TOKENS.long(), state, lengths=torch.tensor(LENGTHS, dtype=torch.uint8)), expected)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (TOKENS[0], "expected integers of shape (B, T), got shape (4,); tokens[None] is a batch of one row"),
        (TOKENS[None], "expected integers of shape (B, T), got shape (1, 3, 4)"),
        (TOKENS.float(), "expected integers, got torch.float32"),
        (TOKENS.bool(), "expected integers, got torch.bool"),
        ([[1], [2, 3]], f"{FORM}, got list [[1], [2, 3]]"),
        (TOKENS.long() + 2, "expected from 0 to 4 (the vocabulary), got 2 to 6"),
        (TOKENS.long() - 2, "expected from 0 to 4 (the vocabulary), got -2 to 2"),
    ],
)
@pytest.mark.parametrize("kind", SMALL)
def test_what_are_no_tokens(kind: str, tokens: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        language_model(kind)(tokens)
    assert str(caught.value) == f"tokens: {message}"
    model = encoder_decoder(kind)
    with pytest.raises(UserError) as caught:
        model.encode(tokens)
    assert message.partition(";")[0] in str(caught.value)
    state = model.encode(TOKENS)
    if "4 (the" not in message:
        with pytest.raises(UserError) as caught:
            model(tokens, state)
        assert str(caught.value) == f"tokens: {message}"


@pytest.mark.parametrize("kind", SMALL)
def test_lengths_of_a_source(kind: str) -> None:
    for lengths in ([4, 0, 3], [5, 4, 3]):
        with pytest.raises(UserError, match=r"lengths: expected from 1 to 4 \(the input's steps\), got"):
            encoder_decoder(kind).encode(TOKENS, lengths)


@pytest.mark.parametrize("kind", SMALL)
def test_the_lens_takes_what_encode_gives(kind: str) -> None:
    model, long = language_model(kind), TOKENS.long()
    small, arrays = TOKENS, TOKENS.numpy()
    for name in ("input", "memory"):
        for given in (small, arrays):
            found = getattr(gradient_flow(model, given, given[:, 0]), name)
            assert str(found) == str(getattr(gradient_flow(model, long, long[:, 0]), name))
    assert truncation(model, arrays, small).gradient.tolist() == truncation(model, long, long).gradient.tolist()
    if kind == "transformer":
        assert str(induction_scores(model, length=4, tokens=arrays[0])) == str(
            induction_scores(model, length=4, tokens=long[0])
        )
        assert attention_weights(model, lambda: model.read(small))
    else:
        state = model.initial_state(4)
        found = step_jacobian(model, arrays[0], state).matrices
        assert found.tolist() == step_jacobian(model, long[0], state).matrices.tolist()
    with pytest.raises(UserError, match=r"tokens: expected from 0 to 4 \(the vocabulary\), got -1 to \d"):
        gradient_flow(model, long - 1, long[:, 0])
    with pytest.raises(UserError, match=r"targets: expected integers of shape 1 dimension, got shape \(3, 4\)"):
        gradient_flow(model, long, long)


@pytest.mark.parametrize("form", [list, np.array])
@pytest.mark.parametrize("kind", SMALL)
def test_the_lens_takes_resets_in_any_form(kind: str, form: Callable[[Any], Any]) -> None:
    model, tokens, resets = language_model(kind), TOKENS.long(), torch.tensor(RESETS)

    def seen(resets: Any, begins: Any) -> list[Any]:
        flow = gradient_flow(model, tokens, tokens[:, 0], resets=resets)
        found = [flow.input.norms, truncation(model, tokens, tokens, resets=resets).gradient]
        if kind == "transformer":
            return found + attention_weights(model, lambda: model.read(tokens, resets=resets))
        visits = visit_layers(model, lambda: model.read(tokens, resets=resets))
        return [
            *found,
            *(part for visit in visits for part in visit.before),
            step_jacobian(model, tokens[:, 0], model.initial_state(3), resets=begins).matrices,
        ]

    for found, expected in zip(seen(form(RESETS), form([True, True, False])), seen(resets, resets[:, 1]), strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(UserError, match="resets: expected a boolean mask"):
        gradient_flow(model, tokens, tokens[:, 0], resets=RESETS[:2])
    with pytest.raises(UserError, match="resets: expected a boolean mask"):
        truncation(model, tokens, tokens, resets=RESETS[:2])


@pytest.mark.parametrize("form", [list, np.array])
def test_visits_of_a_layer_take_resets_in_any_form(form: Callable[[Any], Any]) -> None:
    layer, x = GRU(2, 3), torch.randn(4, 3, 2)
    [found] = visit_layers(layer, lambda: layer(x, resets=form(RESETS)))
    [expected] = visit_layers(layer, lambda: layer(x, resets=torch.tensor(RESETS)))
    same(found.before, expected.before)


@pytest.mark.parametrize("kind", SMALL)
def test_the_lens_on_sources_takes_what_encode_gives(kind: str) -> None:
    model, long = encoder_decoder(kind), TOKENS.long()
    arrays = TOKENS.numpy()
    found = source_gradients(model, arrays[0], arrays[1], arrays[2])
    assert found.tolist() == source_gradients(model, long[0], long[1], long[2]).tolist()
    rows = loss_gradients(model, arrays, [4, 1, 3], arrays, arrays)
    expected = loss_gradients(model, long, torch.tensor([4, 1, 3]), long, long)
    assert [row.tolist() for row in rows] == [row.tolist() for row in expected]


def test_what_is_right_already_is_not_copied() -> None:
    cpu, tokens, lengths = torch.device("cpu"), TOKENS.long(), torch.tensor([1, 2])
    assert as_tokens(tokens, GRU(2, 3)) is tokens
    assert as_lengths(lengths, 2, 3, cpu) is lengths


def test_searches_take_lengths_in_any_form() -> None:
    model, source = encoder_decoder("gru"), TOKENS.long()
    lengths: list[int] = [4, 1, 3]
    options: dict[str, Any] = {"end": 5, "constraints": Constraints(max_length=3)}
    exact = torch.tensor(lengths)
    assert beam_search(model, source, lengths, **options) == beam_search(model, source, exact, **options)
    assert greedy_search(model, source, lengths, **options) == greedy_search(model, source, exact, **options)
    found = [sample_targets(model, source, each, seed=1, **options) for each in (np.array(lengths), exact)]
    assert found[0] == found[1]
    with pytest.raises(UserError, match="lengths: expected from 1 to 4"):
        beam_search(model, source, [4, 0, 3], **options)
