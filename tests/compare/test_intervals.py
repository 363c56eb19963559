"""Intervals against formulas written out, and against how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elman.compare.intervals import (
    Blocks,
    difference_over_blocks,
    difference_over_seeds,
    over_blocks,
    over_curves,
    over_seeds,
)


def test_students_interval_of_a_mean() -> None:
    values = [1.40, 1.45, 1.41, 1.44]
    found = over_seeds(values)
    half = 3.182 * np.std(values, ddof=1) / math.sqrt(4)
    assert (found.middle, found.low, found.high) == pytest.approx((1.425, 1.425 - half, 1.425 + half))


def test_welch_on_equal_samples_is_students_with_fewer_degrees_rounded_down() -> None:
    a, b = [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]  # equal variances: 4 degrees of freedom
    found = difference_over_seeds(a, b)
    assert found.middle == pytest.approx(-1.0)
    assert found.high - found.middle == pytest.approx(2.776 * math.sqrt(2 / 3))
    assert found.holds_zero


def test_seeds_that_do_not_differ_leave_no_doubt() -> None:
    found = difference_over_seeds([1.0, 1.0], [2.0, 2.0])
    assert (found.low, found.high) == (-1.0, -1.0)
    assert not found.holds_zero


def test_the_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(3)
    held = [over_seeds(list(random.normal(5.0, 2.0, 4))) for _ in range(400)]
    assert 0.91 < np.mean([one.low <= 5.0 <= one.high for one in held]) < 0.98


def test_the_bootstrap_is_near_the_normal_interval() -> None:
    random = np.random.default_rng(1)
    nats, tokens = random.normal(140.0, 20.0, 400), np.full(400, 100.0)
    found = over_blocks(Blocks(nats, tokens))
    half = 1.96 * nats.std() / math.sqrt(400) / 100
    assert found.middle == pytest.approx(nats.mean() / 100)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_blocks_are_paired() -> None:
    """What both models find hard is no doubt about which is better."""
    random = np.random.default_rng(2)
    nats, tokens = random.normal(140.0, 20.0, 400), np.full(400, 100.0)
    found = difference_over_blocks(Blocks(nats + 1.0, tokens), Blocks(nats, tokens))
    assert (found.low, found.middle, found.high) == pytest.approx((0.01, 0.01, 0.01))


def test_ratios_of_other_wholes_are_paired_too() -> None:
    """As span F1 is, whose spans said are others for each model: half of twice as much is no difference."""
    random = np.random.default_rng(2)
    right, wholes = random.poisson(5.0, 300).astype(float), random.poisson(9.0, 300) + 5.0
    found = difference_over_blocks(Blocks(right, wholes), Blocks(2 * right, 2 * wholes))
    assert (found.low, found.middle, found.high) == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    scores = [right[rows].sum() / wholes[rows].sum() for rows in random.integers(0, 300, (4000, 300))]
    low, high = np.quantile(scores, (0.025, 0.975))
    one = over_blocks(Blocks(right, wholes))
    assert (one.low, one.high) == pytest.approx((low, high), abs=0.1 * (high - low))
    nothing = over_blocks(Blocks(np.zeros(3), np.zeros(3)))  # no span is meant, and none is said
    assert (nothing.low, nothing.middle, nothing.high) == (0, 0, 0)


def test_a_mean_curve_has_the_interval_of_its_seeds_at_every_place() -> None:
    x = np.array([1.0, 2.0, 3.0])
    curves = [np.stack([x, x * slope]) for slope in (1.0, 1.2, 1.4)]
    places, mean, low, high = over_curves(curves)
    assert places.tolist() == [1, 2, 3]
    for at, place in enumerate(places):
        found = over_seeds([place * slope for slope in (1.0, 1.2, 1.4)])
        assert (mean[at], low[at], high[at]) == pytest.approx((found.middle, found.low, found.high))


def test_seeds_that_read_differently_far_meet_where_all_have_been() -> None:
    short = np.array([[2.0, 4.0], [4.0, 2.0]])
    long = np.array([[1.0, 3.0, 5.0], [5.0, 3.0, 1.0]])
    places, mean, low, high = over_curves([long, short])
    assert places.tolist() == [2, 4]
    assert mean.tolist() == [4, 2]  # both lie on the same line
    assert low.tolist() == high.tolist() == [4, 2]


def test_one_seed_has_no_interval() -> None:
    places, mean, low, high = over_curves([np.array([[1.0, 2.0], [3.0, 4.0]])])
    assert (places.tolist(), mean.tolist()) == ([1, 2], [3, 4])
    assert np.isnan([low, high]).all()
