"""Calibration: what is fitted on a validation part, so that probabilities mean what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from elman.arrays import Floats

Integers = npt.NDArray[np.integer]
BOUNDS = 0.02, 50.0  # of a temperature
HALVINGS = 60


def fit_temperature(logits: Floats, truth: Floats, *, several: bool = False) -> float:
    """The temperature T that gives the truth the least cross entropy under softmax(logits / T).

    logits (N, K); truth (N, K) of ones and zeros. With `several`, each label has a probability of its own,
    sigmoid(logit / T). Guo et al. 2017, "On calibration of modern neural networks". Where few examples are all right,
    the best T would be 0, and every probability 1: so the truth of N examples is that of Platt 1999, "Probabilistic
    outputs for support vector machines", (N + 1) / (N + 2) of what it is, the rest being spread evenly.

    The cross entropy is convex in 1 / T, and its slope there is the mean of Σ_k (p_k − truth_k) logit_k: the root is
    found by halving. Without examples T is 1.

    >>> round(fit_temperature(np.array([[4.0, 0.0]] * 1000), np.array([[1.0, 0.0]] * 900 + [[0.0, 1.0]] * 100)), 2)
    1.82
    """
    if not len(logits):
        return 1.0
    smoothing = 1 / (len(logits) + 2)
    even = 0.5 if several else 1 / logits.shape[1]
    truth = (1 - smoothing) * truth + smoothing * even
    low, high = np.log(BOUNDS)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        scaled = logits / np.exp(middle)
        p = sigmoid(scaled) if several else softmax(scaled)
        if float(((p - truth) * logits).sum()) > 0:  # too sure: 1 / T must fall
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def fit_thresholds(probabilities: Floats, truth: npt.NDArray[np.bool_]) -> Floats:
    """The threshold (K,) of each label from which on it holds, with the greatest F1 of probabilities (N, K).

    Of equally good thresholds the one nearest to 0.5 is taken, halfway between two probabilities or 0.5 itself; a
    label that no example has, keeps 0.5.

    >>> fit_thresholds(np.array([[0.1], [0.2], [0.4]]), np.array([[False], [True], [True]])).round(2).tolist()
    [0.15]
    """
    return np.array([_threshold(p, real) for p, real in zip(probabilities.T, truth.T, strict=True)])


def _threshold(p: Floats, real: npt.NDArray[np.bool_]) -> float:
    if not real.any():
        return 0.5
    order = np.argsort(-p, kind="stable")
    upper = p[order]
    lower = np.append(upper[1:], 0.0)  # a threshold in (lower, upper] lets as many examples hold as stand up to there
    f1 = 2 * real[order].cumsum() / (np.arange(1, len(p) + 1) + real.sum())
    f1[:-1][upper[:-1] == lower[:-1]] = -1
    best = f1 == f1.max()
    middle = np.where((lower < 0.5) & (upper >= 0.5), 0.5, (lower + upper) / 2)[best]
    return float(middle[np.abs(middle - 0.5).argmin()])


def softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + e^−x), without an overflow."""
    return 0.5 * (1 + np.tanh(logits / 2))
