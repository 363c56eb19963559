"""Estimators by the conventions of scikit-learn, thin over `elman.fit`: a classifier of sequences, and a forecaster.

Their parameters are those of `elman.fit`, kept as they were given; `fit` makes the attribute `run_`, the `elman.Run`.

>>> import elman
>>> texts, labels = ["good", "very good", "bad", "very bad"] * 10, ["+", "+", "-", "-"] * 10
>>> classifier = elman.SequenceClassifier(budget="30 steps", settings={"hidden_size": 16}).fit(texts, labels)
>>> classifier.predict(["good", "bad"])
array(['+', '-'], dtype='<U1')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from elman.data.frames import is_column, is_frame, plain
from elman.errors import missing_extra
from elman.fitting import fit
from elman.runs import Run

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        check_array,
        check_consistent_length,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError:
    raise missing_extra("scikit-learn", "estimators", "estimators") from None

__all__ = ["Forecaster", "SequenceClassifier"]

Array = npt.NDArray[Any]


class SequenceClassifier(ClassifierMixin, BaseEstimator):
    """A class for each text or series.

    Inputs are N texts in a list, an array or a column of a data frame; or an array (N, T) of series of one channel, or
    (N, T, D) of D channels, or a list of N such series of unequal lengths, each (T,) or (T, D); NaN is a missing value.
    Targets are N classes of any type.

    Args:
        model: "gru" (the default), "lstm", "elman", "transformer", as of `elman.fit`.
        budget: of a training: "2m", "8s", "3 epochs", "200 steps".
        seed: decides every draw.
        settings: further settings of `elman.fit` by name, such as `{"hidden_size": 64}`.
        progress: whether `fit` shows what happens.

    >>> noise = np.random.default_rng(1).normal(size=(60, 20))
    >>> labels = np.where(np.arange(60) % 2, "up", "down")
    >>> noise[1::2] += np.linspace(-2, 2, 20)
    >>> classifier = SequenceClassifier(budget="30 steps", settings={"hidden_size": 16}).fit(noise, labels)
    >>> classifier.predict(noise[:4]), classifier.score(noise, labels) > 0.9
    (array(['down', 'up', 'down', 'up'], dtype='<U4'), True)
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        budget: str = "2m",
        seed: int = 1,
        settings: Mapping[str, Any] | None = None,
        progress: bool = False,
    ) -> None:
        self.model = model
        self.budget = budget
        self.seed = seed
        self.settings = settings
        self.progress = progress

    def fit(self, X: Any, y: Any) -> Self:
        """Train on sequences and their classes; a part of them is held out for validation."""
        inputs = self._sequences(X, reset=True)
        targets = column_or_1d(y, warn=True)
        check_consistent_length(inputs, targets)
        check_classification_targets(targets)
        self.classes_, numbers = np.unique(targets, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs two classes or more, got {self.classes_.tolist()[0]!r} alone"
            )
        # Classes are trained on by their numbers: 1 and "1" are two classes, and no name is read as a number.
        names = [f"class {number}" for number in numbers.tolist()]
        self.run_ = _fit(self, "classification", inputs, names)
        return self

    def predict(self, X: Any) -> Array:
        """The class (N,) of each sequence."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> Array:
        """The calibrated probability (N, K) of each class, in the order of `classes_`."""
        check_is_fitted(self)
        names = [f"class {number}" for number in range(len(self.classes_))]
        answers = self.run_.answers(self._sequences(X, reset=False))
        return np.array([[answer.record["probabilities"].get(name, 0.0) for name in names] for answer in answers])

    def _sequences(self, X: Any, *, reset: bool) -> Any:
        """The inputs as `elman.fit` takes them. Raises `ValueError` where they are none."""
        if is_frame(X) and X.shape[1] == 1:  # a column of texts
            X = [value for row in plain(X) for value in row.values()]
        elif is_column(X):
            X = plain(X)
        texts = isinstance(X, list | tuple | np.ndarray) and len(X) and all(isinstance(each, str) for each in X)
        if texts or _are_series(X):
            return list(X)
        if getattr(X, "ndim", 2) == 3:
            return check_array(X, allow_nd=True, ensure_all_finite="allow-nan")
        least = 2 if reset else 1  # one is held out
        return validate_data(self, X, reset=reset, ensure_all_finite="allow-nan", ensure_min_samples=least)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.three_d_array = True
        return tags


class Forecaster(BaseEstimator):
    """Forecasts of the steps after the end of series.

    Series are a data frame, or its rows as dicts: the long format `unique_id, ds, y` with further columns, or a column
    of times beside a column for each series; or an array (T, N), a column for each series too, of steps counted from 0.
    NaN is a missing value.

    Args:
        horizon: how many steps are forecast; chosen where it is None.
        model: "gru" (the default), "lstm", "elman", "transformer", as of `elman.fit`.
        budget: of a training: "2m", "8s", "3 epochs", "200 steps".
        seed: decides every draw.
        settings: further settings of `elman.fit` by name, such as `{"window": 96}`.
        progress: whether `fit` shows what happens.

    >>> wave = 20 + 5 * np.sin(np.arange(140) * 2 * np.pi / 7)
    >>> forecaster = Forecaster(horizon=7, budget="30 steps", settings={"hidden_size": 16})
    >>> forecaster.fit(np.stack([wave, -wave], 1)).predict().shape
    (7, 2)
    """

    def __init__(
        self,
        horizon: int | None = None,
        model: str | None = None,
        *,
        budget: str = "2m",
        seed: int = 1,
        settings: Mapping[str, Any] | None = None,
        progress: bool = False,
    ) -> None:
        self.horizon = horizon
        self.model = model
        self.budget = budget
        self.seed = seed
        self.settings = settings
        self.progress = progress

    def fit(self, X: Any, y: None = None) -> Self:
        """Train on series; the end of each is held out for validation. `y` is not used: the series are the targets."""
        series = self._series(X, reset=True)
        self.run_ = _fit(self, "forecasting", series, None)
        self.series_ = X
        return self

    def predict(self, X: Any = None) -> Any:
        """The steps after the end of series, by default of those it was fitted on.

        A table with the columns `unique_id, ds, mean` and quantiles such as `q10`, of the kind that `X` is; of an array
        (T, N) the means (H, N).
        """
        check_is_fitted(self)
        X = self.series_ if X is None else X
        series = self._series(X, reset=False)
        if is_frame(series):
            return self.run_.predict(series)
        [rows] = self.run_.predict([series])
        if _are_rows(X):
            return rows
        columns: dict[str, list[float]] = {name: [] for name in series[0] if name != "ds"}
        for row in rows:
            columns[row["unique_id"]].append(row["mean"])
        return np.array(list(columns.values())).T

    def score(self, X: Any, y: None = None) -> float:
        """The mean absolute error of the forecasts of every window of series, negative so that more is better."""
        check_is_fitted(self)
        return -float(self.run_.evaluate(self._series(X, reset=False))["mae"])

    def _series(self, X: Any, *, reset: bool) -> Any:
        """A table of series as `elman.fit` takes it. Raises `ValueError` where X is none."""
        if is_frame(X) or _are_rows(X):
            return X
        array = validate_data(self, X, reset=reset, ensure_all_finite="allow-nan", ensure_min_samples=2)
        return [
            {"ds": step, **{f"series {n}": value for n, value in enumerate(row)}}
            for step, row in enumerate(array.tolist())
        ]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _fit(estimator: Any, task: str, data: Any, targets: Any) -> Run:
    values = estimator.get_params()
    settings, shared = (
        values.pop("settings") or {},
        {name: values[name] for name in ("model", "budget", "seed", "progress")},
    )
    if values.get("horizon") is not None:
        settings = {"horizon": values["horizon"], **settings}
    return fit(data, targets, task=task, **shared, **settings)


def _are_series(X: Any) -> bool:
    """Whether X are arrays or lists of unequal lengths, or lists of rows, which make no array (N, T)."""
    if not isinstance(X, Sequence) or isinstance(X, str) or not len(X):
        return False
    if not all(isinstance(series, Sequence | np.ndarray) and not isinstance(series, str) for series in X):
        return False
    shapes = [np.shape(series[0]) if len(series) else () for series in X]
    return len(set(map(len, X))) > 1 or any(shape != () for shape in shapes)


def _are_rows(X: Any) -> bool:
    return isinstance(X, list) and bool(X) and all(isinstance(row, Mapping) for row in X)
