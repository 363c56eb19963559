"""The law of the state contract, for every language model: reading in pieces equals reading whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from elman import state as states
from elman.models import MODELS, LanguageModel, build

VOCABULARY = 11
SMALL = {"vocab_size": VOCABULARY, "hidden_size": 8, "num_layers": 2}
CONFIGS = {
    "elman": {"model": "elman"},
    "gru": {"model": "gru", "residual": True},
    "lstm": {"model": "lstm", "embedding_size": 5, "tied": True},
    "varied gru": {"model": "gru", "zoneout": 0.2, "layer_norm": True, "recurrent_dropout": 0.3},
    "varied lstm": {"model": "lstm", "zoneout": 0.1, "zoneout_cell": 0.4, "layer_norm": True, "peepholes": True},
    "mingru": {"model": "mingru", "residual": True, "zoneout": 0.1, "layer_norm": True},
    "slstm": {"model": "slstm", "tied": True, "zoneout": 0.1},
    "recomputed": {"model": "lstm", "recompute": True},
    "rotary": {"model": "transformer", "num_heads": 2},
    "sinusoidal": {"model": "transformer", "num_heads": 2, "positions": "sinusoidal", "tied": True},
    "window": {"model": "transformer", "num_heads": 2, "window": 5},
    "window of 1": {"model": "transformer", "num_heads": 1, "window": 1, "qk_norm": False},
}
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}
every_model = pytest.mark.parametrize("name", CONFIGS)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)


def make(name: str, dtype: torch.dtype = torch.float64) -> LanguageModel:
    """A model whose every parameter matters: some begin at zero, which would hide what they multiply."""
    torch.manual_seed(0)
    model = build(SMALL | CONFIGS[name]).to(dtype).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def some_tokens(B: int, T: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(VOCABULARY, (B, T), generator=torch.Generator().manual_seed(seed))


@st.composite
def readings(draw: st.DrawFn) -> tuple[torch.Tensor, list[int], torch.Tensor | None, torch.Tensor | None]:
    """Tokens (B, T), the sizes of the pieces, lengths (B,) or None, resets (B, T) or None."""
    B = draw(st.integers(1, 4))
    pieces = draw(st.lists(st.integers(0, 11), min_size=1, max_size=4))
    T = sum(pieces)
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B).map(torch.tensor))
    places = st.lists(st.sampled_from(range(B * T)), max_size=6) if T else st.just([])
    resets = None
    if draw(st.booleans()):
        resets = torch.zeros(B * T, dtype=torch.bool)
        resets[torch.tensor(draw(places), dtype=torch.int64)] = True
        resets = resets.view(B, T)
    return some_tokens(B, T, draw(st.integers(0, 99))), pieces, lengths, resets


def read_in_pieces(model, tokens, pieces, lengths=None, resets=None, state=None):
    """As `model(tokens)`, a piece at a time; a row's length runs out somewhere on the way."""
    logits, start = [], 0
    for size in pieces:
        step = slice(start, start + size)
        left = None if lengths is None else (lengths - start).clamp(0, size)
        some, state = model(tokens[:, step], state, lengths=left, resets=None if resets is None else resets[:, step])
        logits.append(some)
        start += size
    return torch.cat(logits, dim=1), state


@every_dtype
@every_model
@settings(max_examples=30, deadline=None)
@given(reading=readings())
def test_reading_in_pieces_equals_reading_whole(name, dtype, reading):
    tokens, pieces, lengths, resets = reading
    B, T = tokens.shape
    model, tolerance = make(name, dtype), TOLERANCES[dtype]
    with torch.no_grad():
        whole, state = model(tokens, lengths=lengths, resets=resets)
        split, split_state = read_in_pieces(model, tokens, pieces, lengths, resets)
        assert whole.shape == (B, T, VOCABULARY)
        assert whole.isfinite().all()
        assert split.isfinite().all()
        real = torch.arange(T) < (torch.full((B,), T) if lengths is None else lengths)[:, None]
        torch.testing.assert_close(split[real], whole[real], rtol=0, atol=tolerance)
        # Two memories are equal if nothing that is read afterwards can tell them apart.
        further = some_tokens(B, 6, seed=100)
        expected, _ = model(further, state)
        torch.testing.assert_close(model(further, split_state)[0], expected, rtol=0, atol=tolerance)


@every_model
@settings(max_examples=30, deadline=None)
@given(reading=readings())
def test_a_row_depends_on_its_own_real_steps_since_its_last_reset_only(name, reading):
    """Against plain reads without lengths or resets: one row at a time, each sequence by itself."""
    tokens, pieces, lengths, resets = reading
    B, T = tokens.shape
    model = make(name)
    with torch.no_grad():
        logits, state = read_in_pieces(model, tokens, pieces, lengths, resets)
        further = some_tokens(B, 3, seed=100)
        after, _ = model(further, state)
        for row in range(B):
            length = T if lengths is None else int(lengths[row])
            fresh = [] if resets is None else resets[row, :length].nonzero()[:, 0].tolist()
            borders = sorted({0, *fresh, length})
            alone, memory = [], None
            for start, end in pairwise(borders):
                some, memory = model(tokens[row : row + 1, start:end])
                alone.append(some[0])
            if alone:
                torch.testing.assert_close(logits[row, :length], torch.cat(alone), rtol=0, atol=1e-10)
            expected, _ = model(further[row : row + 1], memory)
            torch.testing.assert_close(after[row], expected[0], rtol=0, atol=1e-10)


@every_model
def test_a_fresh_memory_is_zeros_with_the_batch_first(name):
    model = make(name)
    fresh = model.initial_state(3)
    assert all(leaf.shape[0] == 3 and not leaf.any() for leaf in states.leaves(fresh))
    tokens = some_tokens(3, 7)
    torch.testing.assert_close(model(tokens, fresh)[0], model(tokens)[0], rtol=0, atol=0)
    _, state = model(tokens)
    assert [leaf.dtype for leaf in states.leaves(state)] == [leaf.dtype for leaf in states.leaves(fresh)]
    assert all(leaf.shape[0] == 3 for leaf in states.leaves(state))


@every_model
def test_reading_nothing_changes_nothing(name):
    model = make(name)
    tokens = some_tokens(2, 7)
    _, state = model(tokens)
    logits, same = model(tokens[:, :0], state, resets=torch.zeros(2, 0, dtype=torch.bool))
    assert logits.shape == (2, 0, VOCABULARY)
    for before, after in zip(states.leaves(state), states.leaves(same), strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=0)


@every_model
def test_a_memory_goes_on_in_any_rows(name):
    model = make(name)
    tokens, further = some_tokens(3, 9), some_tokens(3, 5, seed=2)
    rows = torch.tensor([2, 0, 0, 1])
    _, state = model(tokens, lengths=torch.tensor([9, 0, 4]))
    expected, _ = model(further, state)
    chosen, _ = model(further[rows], states.select_rows(state, rows))
    torch.testing.assert_close(chosen, expected[rows], rtol=0, atol=1e-12)


@every_model
def test_a_row_that_is_reset_begins_afresh_even_after_nan(name):
    model = make(name)
    tokens, further = some_tokens(2, 9), some_tokens(2, 5, seed=2)
    _, state = model(tokens)
    expected, _ = model(further, state)
    fresh, _ = model(further)
    spoilt = states.map_state(
        lambda x: x.index_fill(0, torch.tensor([1]), torch.nan) if x.is_floating_point() else x, state
    )
    logits, _ = model(further, states.reset_rows(spoilt, torch.tensor([False, True])))
    torch.testing.assert_close(logits[0], expected[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(logits[1], fresh[1], rtol=0, atol=1e-12)


@every_model
def test_a_memory_is_saved_loaded_and_moved(name):
    model = make(name)
    tokens, further = some_tokens(3, 9), some_tokens(3, 5, seed=2)
    _, state = model(tokens)
    contiguous = {key: leaf.detach().contiguous() for key, leaf in states.flatten(state).items()}
    loaded = states.unflatten(load(save(contiguous)), like=model.initial_state(1))
    assert type(loaded) is type(state)
    expected, _ = model(further, state)
    torch.testing.assert_close(model(further, states.to(loaded, "cpu"))[0], expected, rtol=0, atol=0)


@every_model
def test_detaching_cuts_the_gradient_and_nothing_else(name):
    model = make(name)
    tokens = some_tokens(2, 8)
    # `read` leaves the output layer out: the gradient of an embedding is then that of having read its token.
    embedded = model.get_submodule("embedding").weight

    def gradient(cut: bool) -> torch.Tensor:
        _, state = model.read(tokens[:, :4])
        hidden, _ = model.read(tokens[:, 4:], states.detach(state) if cut else state)
        return torch.autograd.grad(hidden.pow(3).sum(), embedded)[0]

    whole, _ = model.read(tokens)
    expected = torch.autograd.grad(whole[:, 4:].pow(3).sum(), embedded)[0]
    torch.testing.assert_close(gradient(cut=False), expected, rtol=0, atol=1e-10)
    only_before = sorted(set(tokens[:, :4].flatten().tolist()) - set(tokens[:, 4:].flatten().tolist()))
    assert only_before
    assert not gradient(cut=True)[only_before].any()
    if name != "window of 1":  # it has no memory
        assert gradient(cut=False)[only_before].any()


@every_model
def test_one_token_at_a_time_equals_one_read(name):
    model = make(name)
    tokens = some_tokens(2, 33)
    with torch.no_grad():
        stepwise, _ = read_in_pieces(model, tokens, [1] * 33)
        torch.testing.assert_close(stepwise, model(tokens)[0], rtol=0, atol=1e-10)


def test_every_model_is_under_the_law():
    assert {config["model"] for config in CONFIGS.values()} == set(MODELS)
