from __future__ import annotations

import numpy as np
import pytest

from elman.lens import HeadScores
from elman.lens.attention import student


@pytest.mark.parametrize(
    ("tail", "freedom", "value"),  # from tables
    [
        (0.025, 10, 2.228),
        (0.01, 15, 2.602),
        (0.001, 15, 3.733),
        (0.0005, 63, 3.452),
        (0.001, 8, 4.501),
        (0.05, 30, 1.697),
    ],
)
def test_students_t_is_that_of_the_tables(tail: float, freedom: int, value: float) -> None:
    assert student(tail, freedom) == pytest.approx(value, rel=0.02)


def test_what_is_chance_hardly_ever_stands_out() -> None:
    """Of 64 heads that look by chance one has the highest score, but the lower bounds of 98 % of all models hold."""
    random = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        found = HeadScores(random.normal(0.03, 0.01, (16, 8, 8)), 0.03)
        assert found.mean.max() > 0.03
        wrong += bool((found.low > 0.03).any())
        assert not found.stands_out.any()
    assert wrong <= 0.02 * 400


def test_what_is_well_above_chance_stands_out() -> None:
    random = np.random.default_rng(1)
    rows = np.full((16, 2, 3), 0.03) + random.normal(0, 0.01, (16, 2, 3))
    rows[:, 1, 2] += 0.3
    rows[:, 0, 0] += 0.05  # surely above chance, and yet little
    found = HeadScores(rows, 0.03)
    assert found.low[0, 0] > 0.03
    assert np.argwhere(found.stands_out).tolist() == [[1, 2]]


def test_a_few_rows_that_differ_prove_nothing() -> None:
    assert not HeadScores(np.array([[[0.9]], [[0.1]], [[0.0]]]), 0.03).stands_out.any()
    assert not HeadScores(np.ones((1, 1, 1)), 0.03).stands_out.any()
