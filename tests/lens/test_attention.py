from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import UserError
from elman.kernels.attention.sight import Sight
from elman.lens import attention_weights, induction_scores, previous_token_scores, score_attention, steps_seen
from elman.lens.observe import calls_of
from elman.models import LanguageModel, build, build_encoder_decoder
from elman.nn.attention import Attention

ATTENDING = ["rotary", "sinusoidal", "window"]
VOCABULARY = 11

Make = Callable[..., LanguageModel]


def drawn(B: int, T: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(VOCABULARY, (B, T), generator=torch.Generator().manual_seed(seed))


def values_in_order(call: Any, cached: int) -> torch.Tensor:
    """The values of a call, those in memory first and the oldest of them first, as the layer's weights have them."""
    (_, old), sight = call.arguments[1:3]
    slots = old.shape[2]
    if sight.window is not None and slots:
        old = old[:, :, [p % (sight.window - 1) for p in range(cached - slots, cached)]]
    v = call.module.qkv(call.options["norm"](call.arguments[0])).chunk(3, dim=-1)[2]
    return torch.cat((old, v.unflatten(2, (call.module.num_heads, -1)).transpose(1, 2)), dim=2)


@pytest.mark.parametrize("cached", [0, 6])
@pytest.mark.parametrize("name", ATTENDING)
def test_the_weights_make_what_the_layer_puts_out(make: Make, name: str, cached: int) -> None:
    """The layer attends by torch's fused operator, which shows no weights: weights @ values must be its output."""
    model = make(name).eval()
    tokens = drawn(2, 9)
    state = model.read(drawn(2, cached, seed=2))[1] if cached else None
    every = attention_weights(model, lambda: model.read(tokens, state))
    with torch.no_grad():
        calls = calls_of(model, Attention, lambda: model.read(tokens, state))
        for weights, call in zip(every, calls, strict=True):
            options = call.options | {"onto": None}
            y, _ = call.module(*call.arguments, **options)
            np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-12)
            mixed = torch.from_numpy(weights) @ values_in_order(call, cached)
            torch.testing.assert_close(call.module.out(mixed.transpose(1, 2).flatten(2)), y, rtol=0, atol=1e-12)
    assert len(every) == 2


def test_an_encoder_looks_both_ways() -> None:
    torch.manual_seed(0)
    layer = Attention(8, 2).double()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    read = lambda: layer(x, sight=Sight(causal=False))  # noqa: E731
    [weights] = attention_weights(layer, read)
    with torch.no_grad():
        y, _ = read()
        values = layer.qkv(x).chunk(3, dim=-1)[2].unflatten(2, (2, 4)).transpose(1, 2)
        mixed = (torch.from_numpy(weights) @ values).transpose(1, 2).flatten(2)
        torch.testing.assert_close(layer.out(mixed), y, rtol=0, atol=1e-12)
    assert (weights > 0).all()


def test_attention_to_a_source_is_what_the_decoder_says_of_it() -> None:
    torch.manual_seed(0)
    sizes = {"source_vocab_size": 9, "vocab_size": 11, "hidden_size": 8, "num_heads": 2, "decoder_layers": 2}
    model: Any = build_encoder_decoder({"model": "transformer", "encoder_layers": 1} | sizes)
    source, lengths, tokens = torch.randint(9, (3, 6)), torch.tensor([6, 2, 4]), drawn(3, 5)
    every = attention_weights(model, lambda: model(tokens, model.encode(source, lengths)))
    encoder, *decoder = every
    assert [weights.shape[2:] for weights in every] == [(6, 6), (5, 5), (5, 6), (5, 5), (5, 6)]
    state = model.eval().encode(source, lengths)
    for weights, expected in zip(decoder[1::2], model.cross_attentions(tokens, state), strict=True):
        np.testing.assert_allclose(weights, expected.detach(), atol=1e-6)
    assert not encoder[1, :, :, 2:].any()
    layers = torch.nn.ModuleList(layer.cross_attention for layer in model.decoder)
    assert len(attention_weights(layers, lambda: model(tokens, state))) == 2


@pytest.mark.parametrize("batch_first", [False, True])
def test_attention_of_torch_makes_what_it_puts_out(batch_first: bool) -> None:
    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=batch_first, dtype=torch.float64)
    x, memory = torch.randn(5, 3, 8, dtype=torch.float64), torch.randn(6, 3, 8, dtype=torch.float64)
    if batch_first:
        x, memory = x.transpose(0, 1), memory.transpose(0, 1)
    padding = torch.arange(6) >= torch.tensor([6, 2, 4])[:, None]
    [weights] = attention_weights(layer, lambda: layer(x, memory, memory, padding, False))
    [same] = attention_weights(layer, lambda: layer(x, key=memory, value=memory, key_padding_mask=padding))
    assert np.array_equal(weights, same)
    assert weights.shape == (3, 2, 5, 6)
    assert not weights[1, :, :, 2:].any()
    with torch.no_grad():
        rows = memory if batch_first else memory.transpose(0, 1)
        values = (rows @ layer.in_proj_weight[16:].T).view(3, 6, 2, 4).transpose(1, 2)
        mixed = layer.out_proj((torch.from_numpy(weights) @ values).transpose(1, 2).flatten(2))
        expected = layer.eval()(x, memory, memory, key_padding_mask=padding)[0]
    torch.testing.assert_close(mixed, expected if batch_first else expected.transpose(0, 1), rtol=0, atol=1e-12)
    [alone] = attention_weights(layer, lambda: layer(x[:, 0], x[:, 0], x[:, 0]))
    assert alone.shape[:2] == (1, 2)


def test_the_layers_of_torchs_transformer_are_not_passed_by() -> None:
    """In eval mode they have a path that calls no attention module, and one that packs padded rows."""
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 2).eval()
    x, padding = torch.randn(2, 4, 8), torch.tensor([[False] * 4, [False, False, True, True]])
    every = attention_weights(model, lambda: model(x, src_key_padding_mask=padding))
    assert [weights.shape for weights in every] == [(2, 2, 4, 4)] * 2
    assert all(not weights[1, :, :, 2:].any() and weights[0].all() for weights in every)
    assert torch.backends.mha.get_fastpath_enabled()


class Causal(torch.nn.Module):
    """A Transformer of torch.nn that anyone may have written."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(VOCABULARY, 8)
        self.layers = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mask = torch.nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.layers(self.words(tokens), mask=mask, is_causal=True)


def test_induction_scores_of_torchs_transformer() -> None:
    torch.manual_seed(0)
    model = Causal()
    found = induction_scores(model, length=5, rows=3, tokens=range(VOCABULARY), seed=4)
    tokens = torch.randint(VOCABULARY, (3, 5), generator=torch.Generator().manual_seed(4))
    every = attention_weights(model, lambda: model(torch.cat((tokens, tokens), 1)))
    for layer, weights in enumerate(every):
        expected = np.mean([weights[:, :, t, t - 4] for t in range(5, 10)], axis=0)
        np.testing.assert_allclose(found.rows[:, layer], expected, atol=1e-12)
    assert found.chance == pytest.approx(np.mean([1 / n for n in range(6, 11)]))
    with pytest.raises(UserError, match="tokens: expected some to draw from"):
        induction_scores(model)


def test_there_is_no_attention(make: Make) -> None:
    model = make("gru")
    with pytest.raises(UserError, match="no attention in the model"):
        attention_weights(model, lambda: model.read(drawn(1, 3)))


def looking_back(T: int, steps: int) -> np.ndarray:
    """Every step looks so many steps back (the first ones as far as they can)."""
    weights = np.zeros((1, 1, T, T))
    for t in range(T):
        weights[0, 0, t, max(0, t - steps)] = 1
    return weights


def test_scores_of_heads_that_are_known() -> None:
    back = looking_back(10, 1)
    scores = score_attention(np.concatenate([back, looking_back(10, 0), looking_back(10, 3)], axis=1))
    np.testing.assert_allclose(scores.entropy, 0)
    np.testing.assert_allclose(scores.distance, [0.9, 0, 2.4])


@settings(deadline=None)
@given(seed=st.integers(0, 999), B=st.integers(1, 3), N=st.integers(1, 3), T=st.integers(1, 5), C=st.integers(0, 4))
def test_scores_equal_plain_loops(seed: int, B: int, N: int, T: int, C: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random((B, N, T, C + T)) * np.tril(np.ones((T, C + T)), C)
    weights /= weights.sum(-1, keepdims=True)
    scores = score_attention(weights)
    for n in range(N):
        entropy, distance = [], []
        for b in range(B):
            for t in range(T):
                row = weights[b, n, t]
                entropy.append(-sum(a * np.log(a) for a in row if a > 0))
                distance.append(sum(a * (C + t - s) for s, a in enumerate(row)))
        assert scores.entropy[n] == pytest.approx(np.mean(entropy), abs=1e-12)
        assert scores.distance[n] == pytest.approx(np.mean(distance), abs=1e-12)


@pytest.mark.parametrize("name", ATTENDING)
def test_the_induction_score_is_read_off_the_repeated_sequence(make: Make, name: str) -> None:
    model = make(name)
    found = induction_scores(model, length=6, rows=3, tokens=torch.tensor([2, 5, 7]), seed=4).mean
    drawing = torch.Generator().manual_seed(4)
    tokens = torch.tensor([2, 5, 7])[torch.randint(3, (3, 6), generator=drawing)]
    every = attention_weights(model, lambda: model.read(torch.cat((tokens, tokens), 1)))
    for score, weights in zip(found, every, strict=True):
        expected = np.mean([weights[:, :, t, t - 5] for t in range(6, 12)], axis=(0, 1))
        np.testing.assert_allclose(score, expected, atol=1e-12)


@pytest.mark.parametrize("borders", [False, True])
@pytest.mark.parametrize("window", [None, 1, 2, 5, 9, 200])
@pytest.mark.parametrize("name", ["rotary", "sinusoidal"])
def test_chance_is_what_an_even_look_gives(make: Make, name: str, window: int | None, borders: bool) -> None:
    """A head without queries looks evenly at all that its mask lets through: every row's score is chance itself."""
    model = make(name, window=window)
    for layer in model.layers:
        layer.attention.qkv.weight.data[:8] = 0
        if layer.attention.qkv.bias is not None:
            layer.attention.qkv.bias.data[:8] = 0
        layer.attention.query_norm = torch.nn.Identity()
    resets = torch.zeros(3, 12, dtype=torch.bool)
    if borders:  # steps that begin documents in a row, one in the midst of a document, and a row of them alone
        resets[0, 3:5] = resets[1, 7] = resets[2, :] = True
    every = attention_weights(model, lambda: model.read(drawn(3, 12), resets=resets))
    seen = steps_seen(resets.numpy(), window)
    np.testing.assert_allclose(every[0].max(-1), 1 / seen[:, None].repeat(2, 1), atol=1e-12)
    previous = previous_token_scores(every, seen)
    np.testing.assert_allclose(previous.mean, previous.chance, atol=1e-12)
    if not borders:
        np.testing.assert_allclose(previous.rows, previous.chance, atol=1e-12)
    assert not previous.stands_out.any()
    induction = induction_scores(model, length=6, rows=3)
    assert induction.rows.shape == (3, 2, 2)
    np.testing.assert_allclose(induction.rows, induction.chance, atol=1e-12)
    assert not induction.stands_out.any()


def test_chance_over_the_repeated_tokens() -> None:
    """The 24 steps of the second pass see 25 to 48 steps."""
    model = build({"model": "transformer", "vocab_size": 9, "hidden_size": 8, "num_heads": 2})
    assert induction_scores(model, rows=2).chance == pytest.approx(sum(1 / n for n in range(25, 49)) / 24)
    with pytest.raises(UserError, match="at least 2 tokens"):
        induction_scores(model, length=1)


def test_rows_are_scored_one_by_one() -> None:
    weights = np.concatenate([looking_back(10, 1), looking_back(10, 3)])  # (2, 1, 10, 10)
    found = previous_token_scores([weights, weights[:, ::-1]], steps_seen(np.zeros((2, 10), bool)))
    np.testing.assert_allclose(found.rows[:, :, 0], [[1, 1], [1 / 9, 1 / 9]])


def test_a_step_that_begins_a_document_is_not_asked_for_the_one_before() -> None:
    resets = np.zeros((1, 10), bool)
    resets[0, [3, 6]] = True
    weights = looking_back(10, 1)
    weights[0, 0, [3, 6]] = np.eye(10)[[3, 6]]
    found = previous_token_scores([weights], steps_seen(resets))
    np.testing.assert_allclose(found.rows, 1)
    assert found.chance == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 3 + 1 / 2 + 1 / 3 + 1 / 4) / 7)
