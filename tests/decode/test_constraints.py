"""Constraints: against every target that keeps to them, and the order in which they give way."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.decode.ancestral import greedy_search, sample_targets
from elman.decode.beam import beam_search
from elman.decode.constraints import Constraints, block_repeated, default_max_length
from elman.decode.hypotheses import Hypothesis
from elman.errors import UserError
from encoder_decoders import Table

SOURCE = torch.tensor([[1, 2, 3, 0], [2, 3, 0, 0], [1, 1, 2, 2]])
LENGTHS = torch.tensor([4, 2, 4])


def keeps(tokens: tuple[int, ...], *, least: int, prefix: list[int], banned: list[int], n: int | None) -> bool:
    beyond = tokens[len(prefix) :]
    if len(tokens) < least or list(tokens[: len(prefix)]) != prefix or set(beyond) & set(banned):
        return False
    ngrams = [tokens[i : i + n] for i in range(len(tokens) - n + 1)] if n else []
    free = [ngram for i, ngram in enumerate(ngrams) if i + (n or 0) > len(prefix)]  # the prefix may repeat itself
    return all(ngrams.index(ngram) == len(ngrams) - len(free) + i for i, ngram in enumerate(free))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 3),
    st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=3, max_size=3),
    st.lists(st.integers(0, 3), max_size=2, unique=True),
    st.one_of(st.none(), st.integers(2, 3)),
)
def test_a_wide_beam_finds_all_targets_that_keep_to_the_constraints(
    least: int, prefixes: list[list[int]], banned: list[int], n: int | None
) -> None:
    model, longest = Table(5), 4
    constraints = Constraints(
        min_length=least, max_length=longest, prefixes=prefixes, banned=tuple(banned), block_ngrams=n
    )
    options: dict[str, Any] = {"end": 4, "constraints": constraints}
    found = beam_search(model, SOURCE, LENGTHS, beam=700, n_best=700, **options)
    targets = [y for length in range(longest + 1) for y in itertools.product(range(4), repeat=length)]
    for of_one, prefix in zip(found, prefixes, strict=True):
        expected = {y for y in targets if keeps(y, least=least, prefix=prefix, banned=banned, n=n)}
        assert {y.tokens for y in of_one} == expected
    greedy = greedy_search(model, SOURCE, LENGTHS, **options)
    assert beam_search(model, SOURCE, LENGTHS, beam=1, **options) == [[y] for y in greedy]
    samples = sample_targets(model, SOURCE, LENGTHS, seed=1, samples=4, **options)
    for of_one, drawn in zip(found, samples, strict=True):
        by_tokens = {y.tokens: y for y in of_one}
        assert [by_tokens[y.tokens].log_probability for y in drawn] == pytest.approx([y.log_probability for y in drawn])


def greedy(**constraints: Any) -> list[Hypothesis]:
    return greedy_search(Table(5), SOURCE, LENGTHS, end=4, constraints=Constraints(**constraints))


def test_a_length_for_each_sentence() -> None:
    found = greedy(min_length=3, max_length=[3, 9, 5])
    assert [3 <= len(y.tokens) <= longest for y, longest in zip(found, [3, 9, 5], strict=True)] == [True] * 3
    assert len(found[0].tokens) == 3


def test_the_length_follows_the_source_and_yields_to_the_shortest() -> None:
    assert default_max_length(torch.tensor([1, 10])).tolist() == [33, 60]
    assert [len(y.tokens) for y in greedy(min_length=45)] == [45] * 3


def test_where_nothing_is_left_a_target_may_end() -> None:
    found = greedy(banned=[0, 1], block_ngrams=1, min_length=9)
    assert [sorted(y.tokens) for y in found] == [[2, 3]] * 3


def test_a_prefix_may_hold_what_is_banned_and_repeat_itself() -> None:
    found = greedy(prefixes=[[0, 0, 0, 0], [], [1]], banned=[0], block_ngrams=1, max_length=9)
    assert [y.tokens[: len(p)] for y, p in zip(found, [[0] * 4, [], [1]], strict=True)] == [(0, 0, 0, 0), (), (1,)]
    assert 0 not in (*found[0].tokens[4:], *found[1].tokens, *found[2].tokens)


@given(st.lists(st.integers(0, 2), max_size=9), st.integers(1, 4))
def test_no_ngram_is_written_twice(written: list[int], n: int) -> None:
    x = torch.zeros(1, 3)
    block_repeated(x, torch.tensor([written], dtype=torch.long), n)
    ngrams = [written[i : i + n] for i in range(len(written) - n + 1)]
    latest = written[len(written) - n + 1 :] if n > 1 else []
    whole = len(written) >= n - 1
    assert x[0].isinf().tolist() == [whole and [*latest, token] in ngrams for token in range(3)]


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ({"min_length": -1}, "min_length: expected 0 or more, got -1"),
        ({"block_ngrams": 0}, "block_ngrams: expected at least 1, got 0"),
        ({"min_length": 4, "max_length": 3}, "max_length: expected at least 4"),
        ({"prefixes": [[1, 1], [], []], "max_length": [1, 5, 5]}, "max_length: expected at least 2"),
        ({"max_length": -1}, "max_length"),
    ],
)
def test_constraints_that_cannot_be_kept(constraints: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        greedy(**constraints)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("prefixes", [[[1]], [[1], [4], []], [[1], [-1], []]], ids=["too few", "the end", "no token"])
def test_prefixes_that_are_none(prefixes: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="prefix of token ids"):
        greedy(prefixes=prefixes)
