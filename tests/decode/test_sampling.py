"""The filters against their definitions, token by token."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from elman.decode.sampling import min_p, sample, top_k, top_p
from elman.errors import UserError

distributions = st.lists(st.integers(0, 50), min_size=1, max_size=9).filter(any)


def logits(weights: list[int]) -> Tensor:
    """Exact weights, so that ties are ties; 0 is a token ruled out before."""
    return torch.tensor([weights], dtype=torch.double).log()


def kept(filtered: Tensor) -> set[int]:
    return {i for i, x in enumerate(filtered[0].tolist()) if x > -math.inf}


@given(distributions, st.integers(1, 12))
def test_top_k(weights: list[int], k: int) -> None:
    threshold = sorted(weights, reverse=True)[min(k, len(weights)) - 1]
    assert kept(top_k(logits(weights), k)) == {i for i, w in enumerate(weights) if w >= threshold and w > 0}


@given(distributions, st.integers(0, 100))
def test_top_p(weights: list[int], percent: int) -> None:
    got = kept(top_p(logits(weights), percent / 100))
    total = sum(weights)
    assert len(got) >= 1
    held = [weights[i] for i in got]
    # No token left out is more probable than one kept; they hold p (in whole numbers, but for rounding) ...
    assert min(held) >= max((w for i, w in enumerate(weights) if i not in got), default=0)
    assert sum(held) / total >= percent / 100 - 1e-9
    # ... and without the last of them they would not.
    assert len(got) == 1 or (sum(held) - min(held)) / total < percent / 100 + 1e-9


@given(distributions, st.integers(0, 100))
def test_min_p(weights: list[int], percent: int) -> None:
    got = kept(min_p(logits(weights), percent / 100))
    most = max(weights)
    sure = {i for i, w in enumerate(weights) if w and w >= percent / 100 * most * (1 + 1e-9)}
    allowed = {i for i, w in enumerate(weights) if w and w >= percent / 100 * most * (1 - 1e-9)}
    assert sure <= got <= allowed
    assert weights.index(most) in got


@given(distributions, st.integers(1, 9), st.floats(0.05, 1), st.floats(0, 1), st.floats(1e-310, 5))
def test_what_is_drawn_has_passed_every_filter(
    weights: list[int], k: int, p: float, floor: float, temperature: float
) -> None:
    x = logits(weights)
    generator = torch.Generator().manual_seed(0)
    token = int(sample(x, temperature=temperature, top_k=k, top_p=p, min_p=floor, generator=generator))
    assert weights[token] > 0
    assert token in kept(top_k(x, k))


def test_the_frequencies_are_those_of_the_distribution() -> None:
    weights = torch.tensor([6.0, 3.0, 1.0])
    generator = torch.Generator().manual_seed(1)
    rows = weights.log().expand(20_000, 3)
    for temperature in (1.0, 0.5):
        expected = weights ** (1 / temperature) / (weights ** (1 / temperature)).sum()
        counts = sample(rows, temperature=temperature, generator=generator).bincount(minlength=3)
        torch.testing.assert_close(counts / 20_000, expected, atol=0.015, rtol=0)


def test_rows_are_drawn_by_themselves() -> None:
    x = torch.tensor([[0.0, 100.0], [100.0, 0.0]])
    assert sample(x).tolist() == [1, 0]
    assert sample(x, temperature=0).tolist() == [1, 0]


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_decides(seed: int) -> None:
    x = torch.zeros(50, 30)
    draws = [sample(x, generator=torch.Generator().manual_seed(seed)) for _ in range(2)]
    assert torch.equal(*draws)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("temperature", -1.0, "0 or more"),
        ("temperature", math.nan, "0 or more"),
        ("top_k", 0, "1 or more"),
        ("top_k", -3, "1 or more"),
        ("top_p", 1.5, "a number from 0 to 1"),
        ("min_p", -0.1, "a number from 0 to 1"),
    ],
)
def test_what_is_out_of_its_range_is_refused(name: str, value: float, expected: str) -> None:
    with pytest.raises(UserError, match=f"^{name}: expected {expected}, got {value}$"):
        sample(torch.zeros(1, 3), **{name: value})  # type: ignore[arg-type]
