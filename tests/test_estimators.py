"""Estimators by the conventions of scikit-learn, and its own checks of them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

import elman
from elman.data.frames import plain
from elman.errors import UserError
from elman.estimators import Forecaster, SequenceClassifier

SMALL = {"hidden_size": 8, "learning_rate": 0.05, "dropout_pooled": 0.0}
FEW = SequenceClassifier("elman", budget="40 steps", settings=SMALL)


def waves(count: int, *lengths: int) -> tuple[list[Any], list[str]]:
    """Noise around 1 or around -1, of different lengths."""
    generator = np.random.default_rng(1)
    kinds = generator.integers(0, 2, count)
    series = [generator.normal(2 * kind - 1, 0.5, lengths[n % len(lengths)]) for n, kind in enumerate(kinds)]
    return series, [("low", "high")[kind] for kind in kinds]


@pytest.mark.parametrize("form", ["array", "channels", "unequal", "rows", "frame"])
def test_series_are_classified(form: str) -> None:
    series, classes = waves(40, *((5, 9, 7) if form == "unequal" else (8,)))
    X: Any = series if form == "unequal" else np.array(series)
    X = X[..., None].repeat(2, 2) if form == "channels" else X
    X = {"rows": list, "frame": pd.DataFrame}.get(form, lambda each: each)(X)
    made = clone(FEW).fit(X, classes)
    assert made.classes_.tolist() == ["high", "low"]
    shares = made.predict_proba(X)
    assert shares.shape == (40, 2)
    assert shares.sum(1) == pytest.approx(np.ones(40), abs=1e-5)
    assert (made.classes_[shares.argmax(1)] == made.predict(X)).all()
    assert made.score(X, classes) > 0.9
    assert made.run_.task.name == "classification"


def test_texts_are_classified_and_their_classes_keep_their_type() -> None:
    texts = [f"a {word} film {n}" for n in range(20) for word in ("good", "bad")]
    frames = [pd.DataFrame({"review": texts}, index=range(7, 47)), pl.DataFrame({"review": texts})]
    for X in (texts, np.array(texts), *frames, *(frame["review"] for frame in frames)):
        made = clone(FEW).fit(X, [1, -1] * 20)
        assert made.classes_.tolist() == [-1, 1]
        assert made.predict(["a good film", "a bad film"]).tolist() == [1, -1]
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        made.fit(texts, [1])
    with pytest.raises(ValueError, match="Unknown label type"):
        made.fit(texts, np.linspace(0, 1, 40))
    with pytest.raises(ValueError, match="needs two classes or more, got 'good' alone"):
        made.fit(texts, ["good"] * 40)


def test_parameters_are_those_of_fit() -> None:
    assert FEW.get_params() == {
        "model": "elman", "budget": "40 steps", "seed": 1, "settings": SMALL, "progress": False,
    }  # fmt: skip
    series, classes = waves(12, 5)
    made = clone(FEW).set_params(model="gru", budget="2 steps", seed=3).fit(np.array(series), classes)
    settings = made.run_.settings
    assert (settings.kind, settings.train.seed, settings.model.hidden_size) == ("gru", 3, 8)
    with pytest.raises(UserError, match="no setting called 'hiden_size'"):
        SequenceClassifier(settings={"hiden_size": 8}).fit(np.array(series), classes)


def test_a_classifier_is_cross_validated() -> None:
    series, classes = waves(30, 6)
    assert cross_val_score(FEW, np.array(series), classes, cv=2).min() > 0.8


SINES = pd.DataFrame(
    {
        "unique_id": np.repeat(["001", "b"], 60),
        "ds": [*pd.date_range("2024-01-01", periods=60)] * 2,
        "y": np.concatenate([10 + np.sin(np.arange(60) / 2), np.cos(np.arange(60) / 2)]),
    }
)
SHORT = Forecaster(3, "elman", budget="30 steps", settings={"hidden_size": 8})


@pytest.mark.parametrize("library", ["pandas", "polars", "rows", "wide"])
def test_series_are_forecast(library: str) -> None:
    X: Any = SINES
    if library == "polars":
        X = pl.from_pandas(SINES)
    elif library == "rows":
        X = SINES.assign(ds=SINES.ds.astype(str)).to_dict("records")
    elif library == "wide":
        X = SINES.pivot(index="ds", columns="unique_id", values="y")
    made = clone(SHORT).fit(X)
    table = made.predict()
    assert isinstance(table, list if library == "rows" else type(X))
    rows = plain(table)
    assert [row["unique_id"] for row in rows] == ["001"] * 3 + ["b"] * 3
    assert [str(row["ds"])[:10] for row in rows[:3]] == ["2024-03-01", "2024-03-02", "2024-03-03"]
    assert all(row["q10"] <= row["q50"] <= row["q90"] for row in rows)
    assert made.score(X) < 0


def test_an_array_is_forecast_column_by_column() -> None:
    X = np.stack([10 + np.sin(np.arange(60) / 2), np.full(60, -3.0)], axis=1)
    X[7, 0] = np.nan
    made = clone(SHORT).fit(X)
    ahead = made.predict(X)
    assert ahead.shape == (3, 2)
    assert ahead[:, 1].tolist() == [-3.0] * 3  # a constant series goes on
    assert np.abs(ahead[:, 0] - 10).max() < 3


@pytest.mark.parametrize("made", [FEW, SHORT], ids=["classifier", "forecaster"])
def test_an_estimator_that_is_not_fitted_says_so(made: Any) -> None:
    with pytest.raises(NotFittedError):
        clone(made).predict(np.zeros((4, 3)))


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "elman.estimators")
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(
        UserError, match=r"estimators need the package 'scikit-learn'.*pip install 'elman\[estimators\]'"
    ):
        _ = elman.SequenceClassifier


# Rows of an array are steps of series for a forecaster: the order and the choice of rows are what it learns from, and a
# forecast has as many rows as the horizon.
OF_FORECASTERS = {
    "check_methods_sample_order_invariance": "rows are steps in time: in another order they are other series",
    "check_methods_subset_invariance": "rows are steps in time: the forecast of a part is another one",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("made", "failing"),
    [
        (SequenceClassifier("elman", budget="120 steps", settings=SMALL), {}),
        (Forecaster(2, "elman", budget="5 steps", settings={"hidden_size": 4}), OF_FORECASTERS),
    ],
    ids=["classifier", "forecaster"],
)
def test_the_checks_of_scikit_learn_pass(made: Any, failing: dict[str, str]) -> None:
    results = check_estimator(made, expected_failed_checks=failing, on_skip=None)
    assert {result["check_name"] for result in results if result["status"] != "passed"} == {
        *failing, "check_array_api_input",  # skipped where nobody sets SCIPY_ARRAY_API
    }  # fmt: skip
