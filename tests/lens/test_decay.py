"""The rule by which a curve of gradient against lag gets its word, and the numbers beside it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from elman.lens import Decay, fit_decay
from elman.lens.decay import WORDS
from elman.lens.gradient_flow import Flow

ORDER = ["none", "vanishing fast", "vanishing", "fading", "lasting", "open", "exploding"]


def rank(decay: Decay) -> int:
    """Whether a gradient vanished fast or was cut off, nothing is left in the end."""
    return ORDER.index("vanishing fast" if decay.verdict == "cut off" else decay.verdict)


BOUNDS = {"vanishing fast": (0, 10), "vanishing": (10, 30), "fading": (30, 100)}  # steps to 1 % at the rate

share = st.one_of(st.just(0.0), st.floats(-12, 2).map(lambda power: 10**power))
lengths = st.one_of(st.integers(2, 30), st.integers(90, 140))


@st.composite
def curves(draw: st.DrawFn, size: int | None = None) -> np.ndarray:
    """Shares that begin at 1: geometric ones with noise, and any at all; zeros among them or from a lag on."""
    steps = (draw(lengths) if size is None else size) - 1
    if draw(st.booleans()):
        after = draw(arrays(np.float64, steps, elements=share))
    else:
        noise = draw(arrays(np.float64, steps, elements=st.floats(0.2, 5)))
        after = draw(st.floats(0.3, 1.1)) ** np.arange(1, steps + 1) * noise
    after[draw(st.integers(0, steps)) if draw(st.booleans()) else steps :] = 0
    return np.concatenate(([1.0], after))


def fit(shares: np.ndarray | list[float], first: int = 0) -> Decay:
    return fit_decay(np.arange(first, first + len(shares)), np.asarray(shares))


def broken(*points: tuple[int, float]) -> np.ndarray:
    """Straight on a logarithmic axis from point to point, (0, 1) being the first."""
    lags, shares = zip((0, 1.0), *points, strict=True)
    return np.exp(np.interp(np.arange(lags[-1] + 1), lags, np.log(shares)))


@settings(deadline=None)
@given(data=st.data(), lower=curves())
def test_a_curve_that_lies_higher_never_gets_the_worse_word(data: st.DataObject, lower: np.ndarray) -> None:
    more = data.draw(st.one_of(curves(len(lower)), st.just(lower * 0.1), st.just((lower == 0) * 1e-9)))
    higher = np.concatenate(([1.0], np.maximum(lower, lower + more)[1:]))
    low, high = fit(lower), fit(higher)
    assert rank(low) <= rank(high)
    assert low.end is not None or low.rate <= high.rate
    assert (low.horizon or math.inf) <= (high.horizon or math.inf)
    assert low.peak <= high.peak
    assert all(low.left[lag] <= high.left[lag] for lag in low.left)
    assert (low.end or math.inf) <= (high.end or math.inf)


@settings(deadline=None)
@given(one=curves(120), other=curves(120))
def test_the_slower_decay_never_gets_the_worse_word(one: np.ndarray, other: np.ndarray) -> None:
    fast, slow = sorted((fit(one), fit(other)), key=lambda decay: decay.rate)
    assume(slow.rate > fast.rate)
    assume((fast.end is None) == (slow.end is None))
    assert rank(slow) >= rank(fast)


@settings(deadline=None)
@given(shares=curves(), more=st.integers(1, 300))
def test_a_curve_that_ends_has_its_word_however_far_one_looks(shares: np.ndarray, more: int) -> None:
    decay = fit([*shares, 0.0])
    longer = fit([*shares, *np.zeros(1 + more)])
    assert (longer.verdict, longer.rate, longer.end) == (decay.verdict, decay.rate, decay.end)


@given(shares=curves(), power=st.integers(-200, 200), first=st.sampled_from([0, 1]))
def test_only_shares_count(shares: np.ndarray, power: int, first: int) -> None:
    plain, scaled = fit(shares, first), fit(shares * 2.0**power, first)
    assert plain == scaled
    assert plain.words == scaled.words


@settings(deadline=None)
@given(shares=curves(), first=st.sampled_from([0, 1]))
def test_words_and_numbers_agree_with_the_curve(shares: np.ndarray, first: int) -> None:
    decay, lags = fit(shares, first), np.arange(first, first + len(shares))
    words = decay.words
    if not (shares[1:] > 0).any():
        assert (decay.verdict, words) == ("none", "no gradient reaches back at all")
        assert (decay.rate, decay.horizon, decay.end) == (0, first + 1, first + 1)
        return
    said = re.fullmatch(r"(.*?) \((.*); left at lags? (.*): (.*)\)", words)
    assert said, words
    assert said[1] == ("too short to tell" if decay.verdict == "open" else decay.verdict)
    seen = {int(lag): float(value) for lag, value in zip(said[3].split(", "), said[4].split(", "), strict=True)}
    assert list(seen) == list(decay.left)
    assert list(seen) == [lag for lag in lags[1:] if lag in (1, 10, 30, 100) or lag == lags[-1]]
    for lag, value in seen.items():
        assert value == pytest.approx(shares[lag - first], rel=0.051)
        assert decay.left[lag] == shares[lag - first]
    below, zero = lags[shares <= 0.01], lags[shares > 0][-1] + 1
    assert (f"1 % at lag {below[0]}" if len(below) else f"1 % not seen within {lags[-1]} lags") in words
    assert ("nothing from lag" in words) == (zero <= lags[-1])
    assert decay.end == (zero if zero <= lags[-1] else None)
    factors = (shares[1:] ** (1 / np.arange(1, len(shares))))[: zero - first - 1]
    assert (factors >= decay.rate * (1 - 1e-9) - 1e-12).sum() * 2 >= len(factors)
    assert (factors <= decay.rate * (1 + 1e-9) + 1e-12).sum() * 2 >= len(factors)
    assert decay.verdict != "cut off" or decay.rate > 0.01 ** (1 / 10) * (1 - 1e-9)
    assert decay.end is None or decay.verdict in ("cut off", "vanishing fast")
    if decay.verdict in BOUNDS and decay.rate > 0 and len(shares) > 100:
        steps = math.log(0.01) / math.log(decay.rate)
        low, high = BOUNDS[decay.verdict]
        assert low - 1e-6 <= steps <= high + 1e-6
    if decay.verdict == "lasting":
        assert decay.rate**100 > 0.01 * (1 - 1e-6)
        assert decay.rate**100 < 10
    if decay.verdict == "exploding":
        assert decay.rate**100 >= 10 * (1 - 1e-6)


@settings(deadline=None)
@given(rate=st.floats(0.3, 1.2), scale=st.floats(1e-6, 1e6), steps=st.integers(100, 200), first=st.sampled_from([0, 1]))
def test_a_geometric_decay_is_found_exactly(rate: float, scale: float, steps: int, first: int) -> None:
    lags = np.arange(first, first + steps + 1)
    decay = fit_decay(lags, scale * rate**lags)
    assert decay.rate == pytest.approx(rate, rel=1e-9)
    reached = math.log(0.01) / math.log(rate) if rate < 1 else math.inf
    assume(all(abs(reached - bound) > 1e-6 for bound in (10, 30, 100)))
    assume(abs(rate**100 - 10) > 1e-6)
    assert decay.horizon == (None if reached > steps else pytest.approx(first + math.ceil(reached), abs=1))
    expected = next((word for word, (_, most) in BOUNDS.items() if reached < most), "lasting")
    assert decay.verdict == ("exploding" if rate**100 > 10 else expected)


def test_curves_that_differ_by_far_are_told_apart() -> None:
    """The shares that a network of Elman's, an LSTM and a Transformer had left at lag 125 of the same text."""
    curve = {
        "elman": broken((10, 0.0099), (125, 1e-27)),
        "lstm": broken((12, 0.0099), (125, 1e-8)),
        "transformer": broken((1, 0.1), (66, 0.0099), (125, 1e-3)),
    }
    found = {name: fit(shares) for name, shares in curve.items()}
    assert [found[name].horizon for name in curve] == [10, 12, 66]
    assert [found[name].verdict for name in curve] == ["vanishing fast", "vanishing", "fading"]
    for name, left in (("elman", "1e-27"), ("lstm", "1e-8"), ("transformer", "0.001")):
        assert found[name].words.endswith(f"{left})")


def test_a_tail_that_lasts_is_worth_more_than_a_horizon() -> None:
    """The one is down to 1 % sooner, and falls slower in the end; it used to be called the worse of the two."""
    trained = fit(broken((1, 0.5), (18, 0.01), (199, 1e-9)))
    untrained = fit(0.841 ** np.arange(200))
    assert trained.horizon < untrained.horizon
    assert trained.rate > untrained.rate
    assert rank(trained) >= rank(untrained)


NOTHING = np.zeros(96)


@pytest.mark.parametrize(
    ("shares", "verdict", "words"),
    [
        ([1, 0, 0, 0], "none", "no gradient reaches back at all"),
        ([0, 0], "none", "no gradient reaches back at all"),
        ([1], "none", "no gradient reaches back at all"),
        (
            [1, 0.9, 0.8, 0.7],
            "open",
            "too short to tell (median pace 0.894 a step over all lags, 1 % not seen within 3 lags",
        ),
        ([1, 2, 5, 11], "exploding", "exploding (median pace 2.22 a step over all lags, 1 % not seen within 3 lags"),
        ([1, 2, np.inf], "exploding", "exploding (median pace inf a step over all lags, 1 % not seen within 2 lags"),
        ([1, np.nan, 0.1], "undefined", "the gradient is not a number"),
        ([np.inf, 1, 1], "undefined", "the gradient is not a number"),
        # a document's border
        ([1, 0.9, 0.8, 0.7, *NOTHING], "cut off", "cut off (median pace 0.894 a step over the lags before 4, 1 %"),
        # windows of attention that are bounded at lags 100, 61 and 50
        ([*0.98 ** np.arange(100), *NOTHING], "cut off", "cut off (median pace 0.98 a step over the lags before 100, "),
        (
            [*0.97 ** np.arange(61), *np.zeros(139)],
            "cut off",
            "cut off (median pace 0.97 a step over the lags before 61, 1",
        ),
        (
            [*0.98 ** np.arange(50), *np.zeros(9)],
            "cut off",
            "cut off (median pace 0.98 a step over the lags before 50, 1",
        ),
        # what is too small for its floats
        ([*0.5 ** np.arange(149), *NOTHING], "vanishing fast", "vanishing fast (median pace 0.5 a step over the lags "),
        # a fall, and no other
        ([1, *np.full(400, 0.009)], "lasting", "lasting (median pace 0.977 a step over all lags, 1 % at lag 1"),
        # growth, then a fall
        (
            broken((3, 20.0), (120, 1e-12)),
            "vanishing",
            "vanishing (median pace 0.819 a step over all lags, after growing to 20 times the first, 1 % at lag 33;",
        ),
    ],
)
def test_verdicts(shares: list[float], verdict: str, words: str) -> None:
    with np.errstate(all="raise"):
        decay = fit(shares)
    assert decay.verdict == verdict
    assert decay.words.startswith(words)


def test_a_first_lag_without_a_gradient_is_passed_over() -> None:
    decay = fit([0.0, 4.0, 2.0, 1.0, 0.01, 0.0])
    assert (decay.horizon, decay.end) == (4, 5)
    assert decay.left == {1: 1.0, 5: 0.0}


def test_the_median_over_the_rows_decides() -> None:
    """Two rows of three go on beyond the lag at which the third's document begins."""
    lags = np.arange(12)
    slow, fast, cut = 0.9**lags, 0.5**lags, 0.7**lags * (lags < 4)
    two, one = (Flow("input", lags, np.stack(rows, 1)) for rows in ((slow, fast, cut), (cut, fast, cut)))
    assert two.decay == fit(np.median([slow, fast, cut], axis=0))
    assert two.decay.end is None
    assert one.decay.end == 4


def test_the_rule_is_said_to_people() -> None:
    words = ("vanishing fast", "vanishing", "fading", "lasting", "exploding", "too short to tell", "Cut off")
    for word in (*words, "10 steps", "30 steps", "100 steps", "fewer than 100 lags"):
        assert word in WORDS
