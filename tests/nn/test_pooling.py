"""Pools over hidden states: against plain formulas, and reading in pieces against reading whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.nn.pooling import Pooling, PoolState
from elman.state import leaves

H, BACKWARD = 6, 2
KINDS = ("last", "mean", "max", "attention")
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind: str, backward_size: int = BACKWARD) -> Pooling:
    torch.manual_seed(0)
    pool = Pooling(kind, H, backward_size=backward_size).double()
    for parameter in pool.parameters():
        torch.nn.init.normal_(parameter)
    return pool


def some_hidden(B: int, T: int, seed: int = 1) -> Tensor:
    return torch.randn(B, T, H, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def formula(pool: Pooling, row: Tensor) -> Tensor:
    """The pool of one row (T, H), from its definition."""
    if not len(row):
        return row.new_zeros(H)
    if pool.kind == "last":
        forward = H - pool.backward_size
        return torch.cat((row[-1, :forward], row[0, forward:]))
    if pool.kind == "mean":
        return row.mean(0)
    if pool.kind == "max":
        return row.max(0).values
    inner, _, outer = pool.score
    return torch.softmax(torch.tanh(row @ inner.weight.T + inner.bias) @ outer.weight[0], 0) @ row


@st.composite
def readings(draw: st.DrawFn) -> tuple[Tensor, list[int], Tensor, Tensor]:
    """Hidden states (B, T, H), the sizes of the pieces, lengths (B,) and resets (B, T)."""
    B = draw(st.integers(1, 4))
    pieces = draw(st.lists(st.integers(0, 9), min_size=1, max_size=4))
    T = sum(pieces)
    lengths = torch.tensor(draw(st.lists(st.integers(0, T), min_size=B, max_size=B)))
    resets = torch.tensor(draw(st.lists(st.integers(0, 7), min_size=B * T, max_size=B * T))).view(B, T) == 0
    return some_hidden(B, T, draw(st.integers(0, 99))), pieces, lengths, resets


@every_kind
@settings(max_examples=60, deadline=None)
@given(reading=readings())
def test_reading_in_pieces_equals_the_formula_of_the_steps_since_the_last_reset(kind, reading):
    hidden, pieces, lengths, resets = reading
    pool = make(kind)
    spoilt = hidden.masked_fill(torch.arange(hidden.shape[1])[:, None] >= lengths[:, None, None], torch.nan)
    pooled, state = pool(spoilt, lengths=lengths, resets=resets)
    split: PoolState | None = None
    begin = 0
    for size in pieces:
        step = slice(begin, begin + size)
        left = (lengths - begin).clamp(0, size)
        at_last, split = pool(spoilt[:, step], split, lengths=left, resets=resets[:, step])
        begin += size
    for b, length in enumerate(lengths.tolist()):
        fresh = [0, *resets[b, :length].nonzero().flatten().tolist()]
        expected = formula(pool, hidden[b, max(fresh) : length])
        torch.testing.assert_close(pooled[b], expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(at_last[b], expected, rtol=0, atol=1e-12)
    further = some_hidden(len(hidden), 3, seed=100)
    torch.testing.assert_close(pool(further, split)[0], pool(further, state)[0], rtol=0, atol=1e-12)


@every_kind
def test_gradients_are_those_of_the_formula_in_pieces_too(kind):
    pool, hidden = make(kind), some_hidden(2, 7).requires_grad_()
    weights = torch.arange(1.0, 2 * H + 1, dtype=torch.float64).view(2, H)

    def gradients(pooled: Tensor) -> list[Tensor]:
        parameters = [hidden, *pool.parameters()]
        return list(torch.autograd.grad((pooled * weights).sum(), parameters))

    expected = gradients(torch.stack([formula(pool, row) for row in hidden]))
    first, state = pool(hidden[:, :4])
    for found in (pool(hidden)[0], pool(hidden[:, 4:], state)[0]):
        for mine, right in zip(gradients(found), expected, strict=True):
            torch.testing.assert_close(mine, right, rtol=0, atol=1e-12)
    assert first.shape == (2, H)


@every_kind
def test_a_fresh_state_is_zeros_and_a_row_without_steps_has_zeros(kind):
    pool = make(kind)
    fresh = pool.initial_state(2, torch.zeros(()))
    assert all(leaf.dtype == torch.float32 and not leaf.any() for leaf in leaves(fresh))
    pooled, state = pool(some_hidden(2, 3), lengths=[0, 3])
    assert not pooled[0].any()
    assert not any(leaf[0].any() for leaf in leaves(state))


def test_attention_does_not_overflow_and_goes_on_from_far_above():
    pool, hidden = make("attention"), some_hidden(1, 6)
    with torch.no_grad():
        pool.score[-1].weight.mul_(1e4)
    pooled, _ = pool(hidden)
    scores = torch.tanh(pool.score[0](hidden[0])) @ pool.score[-1].weight[0]
    torch.testing.assert_close(pooled[0], scores.softmax(0) @ hidden[0], rtol=0, atol=1e-12)
    _, state = pool(hidden[:, :2])
    torch.testing.assert_close(pool(hidden[:, 2:], state)[0], pooled, rtol=0, atol=1e-12)


@every_kind
def test_weights_sum_to_one_and_make_the_pool_where_it_is_linear(kind):
    pool, hidden, lengths = make(kind), some_hidden(3, 5), torch.tensor([5, 2, 0])
    weights = pool.weights(hidden, lengths=lengths)
    torch.testing.assert_close(weights.sum(1), torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    assert not weights[1, 2:].any()
    pooled, _ = pool(hidden, lengths=lengths)
    if kind in ("mean", "attention"):
        torch.testing.assert_close((weights.unsqueeze(1) @ hidden)[:, 0], pooled, rtol=0, atol=1e-12)
    elif kind == "last":
        assert weights[0].tolist() == pytest.approx([BACKWARD / H, 0, 0, 0, 1 - BACKWARD / H])
    else:
        greatest = (hidden[0] == pooled[0]).double().mean(1)
        torch.testing.assert_close(weights[0], greatest)


@every_kind
@pytest.mark.parametrize("T", [1, 7, 33])
def test_every_prefix_has_its_own_pool(kind, T):
    """Step by step, as a stream is read."""
    pool, hidden = make(kind), some_hidden(3, T)
    state = None
    for begin, end in pairwise(range(T + 1)):
        pooled, state = pool(hidden[:, begin:end], state)
        torch.testing.assert_close(pooled, pool(hidden[:, :end])[0], rtol=0, atol=1e-12)
