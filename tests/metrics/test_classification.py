import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from elman.metrics.classification import (
    accuracy,
    calibration_error,
    confusion,
    f1_of,
    macro_f1,
    number_scores,
    several_scores,
)

ANSWERS = st.lists(st.tuples(st.sampled_from("abC-"), st.sampled_from("abC-")), min_size=1)


@given(ANSWERS)
def test_scores_of_classes_are_those_of_scikit_learn(answers: list[tuple[str, str]]) -> None:
    labels, said = map(list, zip(*answers, strict=True))
    assert accuracy(labels, said) == pytest.approx(100 * accuracy_score(labels, said))
    assert macro_f1(labels, said) == pytest.approx(100 * f1_score(labels, said, average="macro", zero_division=0))
    names, matrix = confusion(labels, said)
    assert names == sorted({*labels, *said})
    if len(names) > 1:  # scikit-learn warns of one alone
        np.testing.assert_array_equal(matrix, confusion_matrix(labels, said, labels=names))
    np.testing.assert_allclose(f1_of(matrix), f1_score(labels, said, labels=names, average=None, zero_division=0))


def test_a_class_that_is_nowhere_does_not_count_and_one_that_was_never_said_does() -> None:
    labels, said = ["a", "b", "new"], ["a", "b", "a"]
    assert macro_f1(labels, said) == pytest.approx(100 * (2 / 3 + 1 + 0) / 3)
    assert confusion(labels, said, known=["b", "z", "a"])[0] == ["b", "a", "new"]


@given(st.lists(st.tuples(*[st.booleans()] * 6), min_size=1))
def test_scores_of_several_labels_are_those_of_scikit_learn(rows: list[tuple[bool, ...]]) -> None:
    labels, said = np.array(rows)[:, :3], np.array(rows)[:, 3:]
    found = several_scores(labels, said)
    occur = np.flatnonzero((labels | said).any(0))
    assert found["exact_match"] == pytest.approx(100 * accuracy_score(labels, said))
    assert found["micro_f1"] == pytest.approx(100 * f1_score(labels, said, average="micro", zero_division=0))
    if len(occur):
        each = f1_score(labels, said, average=None, zero_division=0)
        assert found["macro_f1"] == pytest.approx(100 * each[occur].mean())


def test_calibration_error_is_the_sum_over_bins() -> None:
    random = np.random.default_rng(0)
    confidence = np.concatenate([random.uniform(0.2, 1, 500), [1.0, 1 / 15, 2 / 15, 0.0]])
    right = random.random(504) < confidence**2
    expected = 0.0
    for low, high in zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True):
        inside = (confidence > low) & (confidence <= high) | ((low == 0) & (confidence == 0))
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(confidence, right) == pytest.approx(expected)
    assert calibration_error(np.ones(4), np.ones(4, bool)) == 0
    assert calibration_error(np.ones(4), np.array([True, False, False, False])) == pytest.approx(0.75)


def test_scores_of_numbers() -> None:
    random = np.random.default_rng(0)
    labels = random.normal(size=50) + 1e6
    said = labels + random.normal(size=50)
    found = number_scores(labels, said)
    assert found["correlation"] == pytest.approx(np.corrcoef(labels, said)[0, 1])
    assert found["mae"] == pytest.approx(np.abs(said - labels).mean())
    assert found["rmse"] == pytest.approx(np.sqrt(((said - labels) ** 2).mean()))
    assert math.isnan(number_scores(labels, np.full(50, 2.0))["correlation"])
    assert all(
        math.isnan(value) for value in number_scores(labels, np.where(labels == labels[0], np.nan, said)).values()
    )
