"""Encoder-decoders: the law of the state contract, padding, alignments, and each form against its formulas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman import state as states
from elman.errors import UserError
from elman.models import EncoderDecoder, RecurrentEncoderDecoder, TransformerEncoderDecoder, build_encoder_decoder

SOURCES, TARGETS = 9, 11
SMALL = {"source_vocab_size": SOURCES, "vocab_size": TARGETS, "hidden_size": 8}
CONFIGS = {
    "no attention": {"model": "lstm", "attention": "none", "num_layers": 2},
    "additive": {"model": "gru", "attention": "additive"},
    "dot": {"model": "elman", "attention": "dot", "bridge": "copy", "bidirectional": False},
    "general": {"model": "lstm", "attention": "general", "bridge": "none"},
    "input feeding": {"model": "lstm", "num_layers": 2, "input_feeding": True, "tied": True, "embedding_size": 6},
    "mingru": {"model": "mingru", "num_layers": 2},
    "slstm": {"model": "slstm", "bridge": "dense"},
    "joint": {"model": "gru", "joint": True, "source_vocab_size": TARGETS},
    "transformer": {"model": "transformer", "num_heads": 2, "encoder_layers": 1, "decoder_layers": 2},
    "post-norm": {"model": "transformer", "num_heads": 2, "norm": "post", "positions": "learned", "qk_norm": False},
}
every_model = pytest.mark.parametrize("name", CONFIGS)


def make(name: str, dtype: torch.dtype = torch.float64) -> EncoderDecoder:
    torch.manual_seed(0)
    model = build_encoder_decoder(SMALL | CONFIGS[name]).to(dtype).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def some(B: int, T: int, size: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(size, (B, T), generator=torch.Generator().manual_seed(seed))


@every_model
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_reading_the_target_in_pieces_equals_reading_it_whole(name, data):
    B, S = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9))
    pieces = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    T = sum(pieces)
    lengths = data.draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B).map(torch.tensor))
    sources = data.draw(st.lists(st.integers(1, S), min_size=B, max_size=B).map(torch.tensor))
    model, source, target = make(name), some(B, S, SOURCES), some(B, T, TARGETS, 2)
    with torch.no_grad():
        begin = model.encode(source, sources)
        whole, after = model(target, begin, lengths=lengths)
        parts, state, start = [], begin, 0
        for size in pieces:
            left = None if lengths is None else (lengths - start).clamp(0, size)
            logits, state = model(target[:, start : start + size], state, lengths=left)
            parts.append(logits)
            start += size
        real = torch.arange(T) < (torch.full((B,), T) if lengths is None else lengths)[:, None]
        torch.testing.assert_close(torch.cat(parts, 1)[real], whole[real], rtol=0, atol=1e-10)
        further = some(B, 3, TARGETS, 3)
        torch.testing.assert_close(model(further, state)[0], model(further, after)[0], rtol=0, atol=1e-10)


@every_model
def test_a_row_depends_on_its_own_source_and_target_only(name):
    model, source, target = make(name), some(3, 7, SOURCES), some(3, 5, TARGETS)
    lengths = torch.tensor([7, 3, 1])
    state = model.encode(source, lengths)
    logits, after = model(target, state)
    for row in range(3):
        alone = model.encode(source[row : row + 1, : lengths[row]])
        expected, _ = model(target[row : row + 1], alone)
        torch.testing.assert_close(logits[row], expected[0], rtol=0, atol=1e-10)
    # Rows of a state may be taken in any order, as beam search does.
    order = torch.tensor([2, 0, 0, 1])
    further = some(4, 2, TARGETS, 5)
    expected = model(torch.cat((target[order], further), 1), states.select_rows(state, order))[0][:, 5:]
    torch.testing.assert_close(model(further, states.select_rows(after, order))[0], expected, rtol=0, atol=1e-10)


@every_model
def test_what_is_read_with_its_alignment_is_what_is_read(name):
    model, source, target = make(name), some(3, 7, SOURCES), some(3, 5, TARGETS)
    state = model.encode(source, torch.tensor([7, 3, 1]))
    hidden, after = model.read(target, state)
    hidden_too, _, after_too = model.read_aligned(target, state)
    pairs = zip((hidden, *states.leaves(after)), (hidden_too, *states.leaves(after_too)), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


@every_model
def test_the_alignment_is_a_distribution_over_the_source(name):
    model, source, target = make(name), some(3, 7, SOURCES), some(3, 5, TARGETS)
    weights = model.align(target, model.encode(source, torch.tensor([7, 3, 1])))
    if name == "no attention":
        assert weights is None
        return
    assert weights is not None
    assert weights.shape == (3, 5, 7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 5, dtype=torch.float64))
    assert (weights[1, :, 3:] == 0).all()
    assert (weights[2, :, 0] == 1).all()


@every_model
def test_every_parameter_has_a_gradient_and_the_configuration_makes_the_model_again(name):
    model, source, target = make(name), some(3, 7, SOURCES), some(3, 5, TARGETS)
    model.train()(target, model.encode(source, torch.tensor([7, 3, 1])))[0].square().sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    again = build_encoder_decoder(model.config)
    assert {n: p.shape for n, p in again.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}
    matrices = {p for p in model.parameters() if p.dim() == 2}
    assert set(model.stacked_maps()) <= matrices


def test_attention_is_what_its_formula_says():
    """Luong's general score and Bahdanau's additive one, step by step, from the parts."""
    for name in ("general", "additive", "dot"):
        model = make(name)
        assert isinstance(model, RecurrentEncoderDecoder)
        source, target = some(1, 4, SOURCES), some(1, 3, TARGETS)
        state = model.encode(source)
        weights = model.align(target, state)
        a = model.alignment
        h, _ = model._read_layers(model.target_embedding(target.t()), state.layers, None)
        for t in range(3):
            q = h[t, 0]
            if name == "dot":
                scores = [q @ m for m in state.values[0]]
            elif name == "general":
                scores = [q @ (a.project_memory.weight @ m) for m in state.values[0]]
            else:
                v, W, b, U = a.energy.weight[0], a.project_query.weight, a.project_query.bias, a.project_memory.weight
                scores = [v @ torch.tanh(W @ q + b + U @ m) for m in state.values[0]]
            torch.testing.assert_close(weights[0, t], torch.stack(scores).softmax(0))


def test_the_transformer_is_torchs():
    """Against torch.nn.Transformer, post-norm, with our weights put into its places."""
    model = make("post-norm")
    assert isinstance(model, TransformerEncoderDecoder)
    theirs = torch.nn.Transformer(8, 2, 4, 4, 32, 0.0, "gelu", batch_first=True, dtype=torch.float64).eval()
    theirs.encoder.norm = theirs.decoder.norm = None
    theirs.encoder.enable_nested_tensor = False

    def copy(layer, other, cross):
        with torch.no_grad():
            other.self_attn.in_proj_weight.copy_(layer.attention.qkv.weight)
            other.self_attn.in_proj_bias.copy_(layer.attention.qkv.bias)
            other.self_attn.out_proj.load_state_dict(layer.attention.out.state_dict())
            norms = [layer.attention_norm, layer.feedforward_norm]
            if cross:
                q, kv = layer.cross_attention.query, layer.cross_attention.key_value
                other.multihead_attn.in_proj_weight.copy_(torch.cat((q.weight, kv.weight)))
                other.multihead_attn.in_proj_bias.copy_(torch.cat((q.bias, kv.bias)))
                other.multihead_attn.out_proj.load_state_dict(layer.cross_attention.out.state_dict())
                norms.insert(1, layer.cross_norm)
            for number, norm in enumerate(norms, 1):
                getattr(other, f"norm{number}").load_state_dict(norm.state_dict())
            other.linear1.load_state_dict(layer.feedforward[0].state_dict())
            other.linear2.load_state_dict(layer.feedforward[2].state_dict())

    for ours, other in zip(model.encoder, theirs.encoder.layers, strict=True):
        copy(ours, other, False)
    for ours, other in zip(model.decoder, theirs.decoder.layers, strict=True):
        copy(ours, other, True)
    source, target, lengths = some(2, 6, SOURCES), some(2, 5, TARGETS), torch.tensor([6, 4])
    x = model._embed(model.source_embedding, source, torch.arange(6))
    y = model._embed(model.target_embedding, target, torch.arange(5))
    padding = torch.arange(6) >= lengths[:, None]
    causal = torch.nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    memory = theirs.encoder(x, src_key_padding_mask=padding)
    expected = theirs.decoder(y, memory, tgt_mask=causal, tgt_is_causal=True, memory_key_padding_mask=padding)
    hidden, _ = model.read(target, model.encode(source, lengths))
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"model": "gru", "attention": "loud"},
            "attention: expected 'none', 'additive', 'dot' or 'general', got 'loud'",
        ),
        ({"model": "gru", "attention": "none", "input_feeding": True}, "nothing to feed without attention"),
        ({"model": "gru", "hidden_size": 7}, "hidden_size: expected an even size for two directions, got 7"),
        ({"model": "gru", "joint": True}, "joint embeddings: expected one vocabulary"),
        ({"model": "transformer", "num_heads": 3}, "num_heads: expected a divisor of hidden_size 8, got 3"),
        ({"model": "transformer", "norm": "mid"}, "norm: expected 'pre' or 'post', got 'mid'"),
        ({"model": "lstn"}, "did you mean 'lstm'?"),
    ],
)
def test_what_does_not_fit_is_told(config, told):
    with pytest.raises(UserError, match=told.replace("?", r"\?")):
        build_encoder_decoder(SMALL | config)


def test_learned_positions_end_somewhere():
    model = build_encoder_decoder(SMALL | {"model": "transformer", "positions": "learned", "max_positions": 4})
    with pytest.raises(UserError, match="at most 4 tokens, got 5"):
        model.encode(some(1, 5, SOURCES))
