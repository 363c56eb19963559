"""States that come together: rows that have read apart go on beside each other, each as if it were alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.models import ENCODER_DECODERS, MODELS, EncoderDecoder, build, build_encoder_decoder
from elman.models.transformer import TransformerState
from elman.state import State, close_gaps, concatenate, leaves, move_rows, put_rows, select_rows

V = 11
SMALL: dict[str, Any] = {"vocab_size": V, "hidden_size": 8}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "elman": {"model": "elman"},
    "gru": {"model": "gru", "num_layers": 2, "zoneout": 0.2},
    "lstm": {"model": "lstm", "num_layers": 2},
    "mingru": {"model": "mingru", "num_layers": 2},
    "slstm": {"model": "slstm", "num_layers": 2},
    "rotary": {"model": "transformer", "num_heads": 2, "num_layers": 2},
    "sinusoidal": {"model": "transformer", "num_heads": 2, "num_layers": 1, "positions": "sinusoidal"},
    "window": {"model": "transformer", "num_heads": 2, "num_layers": 2, "window": 4},
    "window of 1": {"model": "transformer", "num_heads": 1, "num_layers": 1, "window": 1},
}
TRANSLATORS: dict[str, dict[str, Any]] = {
    "no attention": {"model": "lstm", "attention": "none", "num_layers": 2},
    "additive": {"model": "elman", "attention": "additive"},
    "general": {"model": "gru", "attention": "general"},
    "input feeding": {"model": "lstm", "attention": "dot", "input_feeding": True},
    "mingru pairs": {"model": "mingru", "attention": "general"},
    "slstm pairs": {"model": "slstm"},
    "pre-norm": {"model": "transformer", "num_heads": 2, "encoder_layers": 1, "decoder_layers": 2},
    "learned": {"model": "transformer", "num_heads": 2, "norm": "post", "positions": "learned"},
}
every_model = pytest.mark.parametrize("name", [*LANGUAGE_MODELS, *TRANSLATORS])
close = {"rtol": 0, "atol": 1e-10}


def make(name: str) -> Any:
    """A model whose every parameter matters: some begin at zero, which would hide what they multiply."""
    torch.manual_seed(0)
    if name in LANGUAGE_MODELS:
        model: Any = build(SMALL | LANGUAGE_MODELS[name])
    else:
        model = build_encoder_decoder(SMALL | {"source_vocab_size": V} | TRANSLATORS[name])
    model = model.double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def some_tokens(B: int, T: int, seed: int) -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def read(model: Any, B: int, T: int, S: int, seed: int) -> State:
    """The state of B rows after T tokens, of a source of S tokens where there are sources."""
    begin = model.encode(some_tokens(B, S, seed)) if isinstance(model, EncoderDecoder) else None
    return model(some_tokens(B, T, seed + 1), begin)[1]


def same(one: State, other: State) -> None:
    assert type(one) is type(other)
    for x, y in zip(leaves(one), leaves(other), strict=True):
        torch.testing.assert_close(x, y, **close)


readings = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 7), st.integers(1, 5)), min_size=1, max_size=4)


@every_model
@settings(max_examples=15, deadline=None)
@given(parts=readings, T=st.integers(1, 6))
@torch.no_grad()
def test_rows_that_are_concatenated_go_on_as_each_alone(name: str, parts: list[tuple[int, int, int]], T: int) -> None:
    model = make(name)
    states = [read(model, *part, seed=10 * n) for n, part in enumerate(parts)]
    rows = sum(B for B, _, _ in parts)
    further = some_tokens(rows, T, 100)
    logits, after = model(further, concatenate(states))
    start = 0
    for (B, _, _), state in zip(parts, states, strict=True):
        step = slice(start, start := start + B)
        expected, alone = model(further[step], state)
        torch.testing.assert_close(logits[step], expected, **close)
        own = select_rows(after, torch.arange(step.start, step.stop))
        last = some_tokens(B, 3, 101)
        torch.testing.assert_close(model(last, own)[0], model(last, alone)[0], **close)
        same(trimmed(own, alone), alone)


def trimmed(state: State, like: State) -> State:
    """As many entries of every cache and source as another state has, the padding left out."""
    names = getattr(state, "stepwise", ())
    if not names:
        return state

    def trim(part: Any, other: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(trim(x, y) for x, y in zip(part, other, strict=True))
        return part[..., : other.shape[-2], :]

    cut = {name: trim(getattr(state, name), getattr(like, name)) for name in names}
    return state._replace(**cut)  # type: ignore[union-attr]


@every_model
@pytest.mark.parametrize(("T", "other"), [(2, 6), (6, 2), (0, 3), (3, 0), (4, 4)])
@torch.no_grad()
def test_rows_that_are_put_go_on_as_each_alone(name: str, T: int, other: int) -> None:
    model = make(name)
    state, new = read(model, 4, T, 3, seed=1), read(model, 2, other, 5, seed=7)
    rows = torch.tensor([3, 1])
    before = [leaf.clone() for leaf in leaves(state)]
    together = put_rows(state, rows, new)
    further = some_tokens(4, 5, 100)
    logits, _ = model(further, together)
    kept, put = model(further, state)[0], model(further[rows], new)[0]
    torch.testing.assert_close(logits[[0, 2]], kept[[0, 2]], **close)
    torch.testing.assert_close(logits[rows], put, **close)
    assert all(torch.equal(x, y) for x, y in zip(leaves(state), before, strict=True))


@every_model
def test_the_gradient_of_rows_that_are_concatenated_is_their_own(name: str) -> None:
    model = make(name)
    states = [read(model, 1, T, S, seed=T) for T, S in ((5, 2), (2, 4))]
    further = some_tokens(2, 3, 100)
    weight = next(model.parameters())
    alone = sum(model(further[n : n + 1], state)[0].square().sum() for n, state in enumerate(states))
    together = model(further, concatenate(states))[0].square().sum()
    expected, found = (torch.autograd.grad(x, weight, retain_graph=True)[0] for x in (alone, together))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_every_model_is_under_the_law() -> None:
    assert {config["model"] for config in LANGUAGE_MODELS.values()} == set(MODELS)
    assert {config["model"] for config in TRANSLATORS.values()} == set(ENCODER_DECODERS)


def test_a_shorter_memory_is_padded_with_zeros() -> None:
    one, two = (
        TransformerState((torch.ones(1, 1, C, 2),), (torch.ones(1, 1, C, 2),), torch.tensor([C])) for C in (1, 3)
    )
    both = concatenate([one, two])
    assert isinstance(both, TransformerState)
    assert both.keys[0][:, 0, :, 0].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert both.position.tolist() == [1, 3]


def test_states_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        concatenate([(torch.ones(1, 2),), (torch.ones(1, 2), torch.ones(1, 2))])
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        concatenate([torch.ones(1, 2), torch.ones(1, 3)])


def test_rows_are_put_where_a_mask_is_true() -> None:
    state, others = (torch.zeros(3, 2), torch.zeros(3, 1)), (torch.ones(2, 2), torch.ones(2, 1))
    for part in leaves(put_rows(state, torch.tensor([True, False, True]), others)):
        assert part[:, 0].tolist() == [1, 0, 1]


def test_no_states_are_no_state() -> None:
    with pytest.raises(ValueError, match="concatenate: expected at least one state, got none"):
        concatenate([])


MOVES = {
    "within": ([1, 1, 2, 2, 5, 4], [0, 1, 2]),
    "a source leaves": ([5, 4, 3, 3], [2, 1]),
    "wider": ([0, 1, 0, 2, 2, 3, 5, 5, 5], [0, 1, 2]),
    "narrower": ([1, 3, 4], [0, 1, 2]),
    "all leave": ([], []),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", TRANSLATORS)
@torch.no_grad()
def test_rows_that_share_a_source_move_as_rows_with_copies_of_it(name: str, move: str) -> None:
    model, (rows, sources) = make(name), (torch.tensor(x, dtype=torch.long) for x in MOVES[move])
    source, lengths = some_tokens(3, 5, 7), torch.tensor([5, 2, 4])
    pairs = torch.arange(3).repeat_interleave(2)
    copies, once = model.encode(source[pairs], lengths[pairs]), model.encode(source, lengths)
    own = {field: part for field, part in copies._asdict().items() if field not in once.shared}
    first, further = some_tokens(6, 4, 8), some_tokens(len(rows), 3, 9)
    hidden, weights, after = model.read_aligned(first, once._replace(**own))
    expected, wanted, whole = model.read_aligned(first, copies)
    torch.testing.assert_close(hidden, expected, **close)
    torch.testing.assert_close(weights, wanted, **close)
    moved = move_rows(after, rows, sources, steps=4)
    torch.testing.assert_close(model(further, moved)[0], model(further, select_rows(whole, rows))[0], **close)
    assert lengths.tolist() == [5, 2, 4]


@torch.no_grad()
def test_rows_at_their_place_are_not_copied() -> None:
    after: Any = read(make("pre-norm"), 4, 3, 5, seed=1)
    moved: Any = move_rows(after, torch.tensor([0, 3, 2]), torch.tensor([0, 3, 2]), steps=3)
    for part in ("keys", "values", "source_keys", "source_values"):
        for before, now in zip(getattr(after, part), getattr(moved, part), strict=True):
            assert before.data_ptr() == now.data_ptr()


@given(st.lists(st.booleans(), max_size=9))
def test_the_last_rows_close_the_gaps(stay: list[bool]) -> None:
    rows = close_gaps(torch.tensor(stay, dtype=torch.bool)).tolist()
    assert sorted(rows) == [row for row, stays in enumerate(stay) if stays]
    assert all(row == place or (not stay[place] and row >= len(rows)) for place, row in enumerate(rows))
