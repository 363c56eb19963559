import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.train.schedule import Budget, learning_rate, parse_duration


@given(st.floats(0, 1), st.floats(0, 0.99), st.floats(0, 1))
def test_cosine_is_that_of_its_formula(progress: float, warmup: float, final: float) -> None:
    got = learning_rate(progress, 3.0, warmup=warmup, final=final)
    if progress < warmup:
        assert got == pytest.approx(3.0 * max(progress / warmup, 1e-3))
    else:
        x = (progress - warmup) / (1 - warmup)
        low = 3.0 * final
        assert got == pytest.approx(low + (3.0 - low) * 0.5 * (1 + math.cos(math.pi * x)), abs=1e-12)


@pytest.mark.parametrize(
    ("shape", "middle", "end"), [("cosine", 0.6, 0.2), ("linear", 0.6, 0.2), ("constant", 1.0, 1.0)]
)
def test_shapes(shape: str, middle: float, end: float) -> None:
    rates = [learning_rate(p, 1.0, warmup=0.1, final=0.2, shape=shape) for p in (0.1, 0.55, 1.0, 1.7)]
    assert rates == pytest.approx([1.0, middle, end, end])


@given(st.floats(0, 1), st.floats(0.001, 1))
def test_inverse_sqrt_is_the_transformers_schedule(progress: float, warmup: float) -> None:
    """Of Vaswani et al. 2017, with steps for fractions of the budget: ∝ min(step^−1/2, step warmup^−3/2)."""
    got = learning_rate(progress, 3.0, warmup=warmup, final=0.0, shape="inverse_sqrt")
    if progress >= 1e-3 * warmup:  # or the rate is that of the first step
        expected = 3.0 * warmup**0.5 * min(progress**-0.5, progress * warmup**-1.5)
        assert got == pytest.approx(expected)


def test_a_warm_up_as_long_as_the_budget() -> None:
    assert learning_rate(0.5, 1.0, warmup=1.0, final=0.0) == 0.5
    assert learning_rate(1.0, 1.0, warmup=1.0, final=0.0) == 0.0


def test_budgets() -> None:
    spent = {"step": 30, "epochs": 1.5, "seconds": 20.0}
    assert Budget(60, "steps").progress(**spent) == 0.5
    assert Budget(2, "epochs").progress(**spent) == 0.75
    assert Budget(10, "seconds").progress(**spent) == 2.0


@pytest.mark.parametrize("amount", [0, -1, math.nan, math.inf])
def test_a_budget_is_positive(amount: float) -> None:
    with pytest.raises(ValueError, match="budget: expected more than 0 and at most"):
        Budget(amount, "steps")


@given(st.integers(0, 50), st.integers(0, 59), st.integers(1, 59))
def test_durations(h: int, m: int, s: int) -> None:
    assert parse_duration(f"{h}h{m}m{s}s") == h * 3600 + m * 60 + s
    assert parse_duration(f" {h}H{m}M{s} ") == h * 3600 + m * 60 + s


@pytest.mark.parametrize("text", ["", "m", "2x", "-3", "0", "0s", "nan", "inf", "1h-2m", "two"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)
