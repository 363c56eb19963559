"""What is fitted on a validation part: the temperature against a search, thresholds against every threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.metrics.calibration import fit_temperature, fit_thresholds, sigmoid, softmax

RNG = np.random.default_rng(1)


def some(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k)) * 4
    return logits, np.eye(k)[[rng.choice(k, p=softmax(row / 2)) for row in logits]]


@pytest.mark.parametrize("several", [False, True])
def test_the_temperature_has_the_least_cross_entropy(several):
    logits, truth = some(500, 4, seed=2)
    smooth = (1 - 1 / 502) * truth + 1 / 502 * (0.5 if several else 0.25)

    def cross_entropy(T: float) -> float:
        p = sigmoid(logits / T) if several else softmax(logits / T)
        rest = (1 - smooth) * np.log(1 - p) if several else 0
        return -float((smooth * np.log(p) + rest).sum())

    found = fit_temperature(logits, truth, several=several)
    grid = found * np.exp(np.linspace(-0.5, 0.5, 101))
    assert min(map(cross_entropy, grid)) == pytest.approx(cross_entropy(found), rel=1e-9)
    if not several:
        assert found == pytest.approx(2, rel=0.15)  # from which the truth was drawn


def test_a_few_examples_that_are_all_right_do_not_make_a_model_sure():
    logits, truth = np.array([[3.0, 0.0]] * 8), np.array([[1.0, 0.0]] * 8)
    p = softmax(logits / fit_temperature(logits, truth))
    assert p[0, 0] == pytest.approx(0.95)  # 9.5 of 10: two examples are taken to be undecided
    assert fit_temperature(logits[:0], truth[:0]) == 1


def test_a_scaled_model_gets_the_same_probabilities():
    logits, truth = some(300, 3, seed=5)
    assert fit_temperature(3 * logits, truth) == pytest.approx(3 * fit_temperature(logits, truth), rel=1e-6)


@given(seed=st.integers(0, 300), n=st.integers(1, 12))
def test_no_threshold_has_a_greater_f1(seed, n):
    rng = np.random.default_rng(seed)
    p, real = np.round(rng.random((n, 2)), 1), rng.random((n, 2)) < 0.4

    def f1(said: np.ndarray, truth: np.ndarray) -> float:
        return 2 * (said & truth).sum() / max(1, said.sum() + truth.sum())

    for k, threshold in enumerate(fit_thresholds(p, real)):
        best = max(f1(p[:, k] >= t, real[:, k]) for t in np.linspace(0.0, 1.05, 22))
        assert f1(p[:, k] >= threshold, real[:, k]) == pytest.approx(best)
        assert 0 <= threshold <= 1
        if not real[:, k].any():
            assert threshold == 0.5


def test_no_exponential_overflows():
    assert softmax(np.array([1e4, 0.0])).tolist() == [1, 0]
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0, 0.5, 1]
