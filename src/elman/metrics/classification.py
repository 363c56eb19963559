"""Scores of labels: of classes, of several labels each, of numbers, and of the probabilities of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BINS = 15  # of probabilities, as in Guo et al. (2017)

Names = Sequence[str]
Values = npt.NDArray[np.floating]
Marks = npt.NDArray[np.bool_]  # (N, K): which labels each example has
Counts = npt.NDArray[np.int64]


def accuracy(labels: Names, said: Names) -> float:
    """How many of 100 labels were said right.

    >>> accuracy(["cat", "dog", "dog"], ["cat", "dog", "cat"])
    66.66666666666667
    """
    return 100 * sum(label == other for label, other in zip(labels, said, strict=True)) / len(labels)


def macro_f1(labels: Names, said: Names) -> float:
    """The mean over classes of F1, in per cent.

    Of a class, F1 = 2 right / (true + said). A class counts if it is the label of an example or was said of one, as in
    scikit-learn: one that was never said, because training lacks it, has F1 0.

    >>> round(macro_f1(["cat", "dog", "dog"], ["cat", "dog", "cat"]), 2)
    66.67
    """
    _, matrix = confusion(labels, said)
    return 100 * float(np.mean(f1_of(matrix)))


def confusion(labels: Names, said: Names, known: Names = ()) -> tuple[list[str], Counts]:
    """The classes (K) that occur, those `known` first and in their order, and how often (K, K) each was called another.

    A row is the true class, a column what was said.

    >>> confusion(["a", "a", "b"], ["a", "c", "b"])[1].tolist()
    [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    """
    found = {*labels, *said}
    names = [name for name in known if name in found]
    names += sorted(found.difference(names))
    places = {name: at for at, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)), np.int64)
    for label, other in zip(labels, said, strict=True):
        matrix[places[label], places[other]] += 1
    return names, matrix


def f1_of(matrix: Counts) -> Values:
    """F1 (K,) of each class of a confusion matrix (K, K), from 0 to 1; 0 for a class that does not occur."""
    return _f1(matrix.diagonal(), matrix.sum(0) + matrix.sum(1))


def several_scores(labels: Marks, said: Marks) -> dict[str, float]:
    """Of several labels each, in per cent: F1 over all marks, its mean over labels, and examples with no wrong mark.

    The mean leaves out labels that no example has and that were said of none.

    >>> labels = np.array([[True, False], [True, True]])
    >>> several_scores(labels, said=np.array([[True, False], [True, False]]))
    {'micro_f1': 80.0, 'macro_f1': 50.0, 'exact_match': 50.0}
    """
    right, all_marks = (labels & said).sum(0), labels.sum(0) + said.sum(0)
    occur = all_marks > 0
    return {
        "micro_f1": 100 * float(_f1(right.sum(), all_marks.sum())),
        "macro_f1": 100 * float(np.mean(_f1(right[occur], all_marks[occur]))) if occur.any() else 100.0,
        "exact_match": 100 * float((labels == said).all(1).mean()),
    }


def calibration_error(confidence: Values, right: Marks) -> float:
    """The expected calibration error of N answers, from 0 to 1 (Guo et al. 2017).

    Answers are put into 15 equal bins by `confidence` (N,), the probability that each was given, and
    ECE = Σ_bins n / N |fraction of `right` (N,) answers − mean confidence|.

    >>> round(calibration_error(np.array([0.9, 0.9]), np.array([True, False])), 2)  # 0.9 was said, 0.5 were right
    0.4
    """
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, right.astype(np.float64) - confidence, BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def number_scores(labels: Values, said: Values) -> dict[str, float]:
    """Of numbers (N,): the mean absolute error, the root of the mean squared error, and Pearson's correlation.

    The correlation is NaN where all labels, or all that was said, are equal; a NaN among the numbers makes all NaN.

    >>> number_scores(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0]))
    {'mae': 0.6666666666666666, 'rmse': 1.1547005383792515, 'correlation': 0.9607689228305226}
    """
    labels, said = labels.astype(np.float64), said.astype(np.float64)
    errors, x, y = said - labels, labels - labels.mean(), said - said.mean()
    norm = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": math.sqrt(float((errors * errors).mean())),
        "correlation": float((x * y).sum()) / norm if norm else math.nan,
    }


def _f1(right: npt.NDArray[np.integer], marks: npt.NDArray[np.integer]) -> Values:
    return 2 * right / np.maximum(marks, 1)
