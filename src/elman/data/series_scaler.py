"""The scales of time series, fitted on the steps of the training part alone: each series has its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat

from elman.data.panel import Floats, Panel
from elman.data.table import number
from elman.data.timestamps import Integers

FORMAT = 1
Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]
FARTHEST = 1e9  # deviations from the mean: a model's float32 has squares of no more


class Scales(NamedTuple):
    """Of N series (N,): the mean and the deviation of the values, and the mean absolute seasonal difference.

    A deviation of 0 is that of a constant series; a seasonal error of 0 says that there is no such scale.
    """

    mean: Floats
    deviation: Floats
    seasonal_error: Floats


class Standardised(NamedTuple):
    """A panel in the units of a model, float32; NaN is a missing value."""

    values: npt.NDArray[np.float32]  # (S,)
    past: npt.NDArray[np.float32]  # (S, P + F): columns of the past, then those that are known ahead
    future: npt.NDArray[np.float32]  # (S, F)
    static: npt.NDArray[np.float32]  # (N, C): a number, or a place for each word of the training part
    identity: npt.NDArray[np.int64]  # (N,): the place among the series of the training, from 1; 0 of any other


@dataclass(frozen=True)
class SeriesScaler:
    """Scales of the series of a training by id, and of their further columns.

    A model that is `raw`, of another framework, reads values as they are: of the scales it has the seasonal error.
    """

    season: Annotated[int, Field(ge=1)]
    scales: Mapping[str, tuple[FiniteFloat, Size, Size]]
    columns: Mapping[str, tuple[FiniteFloat, Annotated[FiniteFloat, Field(gt=0)]]] = field(
        default_factory=dict
    )  # mean and deviation
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of static columns
    raw: bool = False

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        own = {name: value for name, value in vars(self).items() if name != "raw" or value}
        return {"format": FORMAT, **own}

    def of(self, panel: Panel, until: Integers) -> Scales:
        """The scales of a panel's series, known ones by their ids.

        A series that the training did not have is measured up to the steps `until` (N,), and so is a series that was
        constant then and no longer is.
        """
        rows = []
        for index, name in enumerate(panel.ids):
            known = self._known(name)
            if known is None:
                known = _measure(panel.series(index)[: until[index]], self.season)
            rows.append((0.0, 1.0, known[2]) if self.raw else known)
        return Scales(*np.array(rows, np.float64).reshape(-1, 3).T.copy())

    def lasting(self, panel: Panel) -> npt.NDArray[np.bool_]:
        """Whether each of a panel's series (N,) keeps its scale when further values follow."""
        return np.array([self.raw or self._known(name) is not None for name in panel.ids], np.bool_)

    def _known(self, name: str) -> tuple[float, float, float] | None:
        """The scale of a series that changed in the training."""
        known = self.scales.get(name)
        return known if known is not None and known[1] > 0 else None

    def standardise(self, panel: Panel, scales: Scales) -> Standardised:
        """The panel's values and further columns in the units of a model."""
        lengths = np.diff(panel.bounds)
        deviation = np.where(scales.deviation > 0, scales.deviation, 1.0)
        values = (panel.values - scales.mean.repeat(lengths)) / deviation.repeat(lengths)
        past = self._columns(panel.past, panel.roles.past)
        future = self._columns(panel.future, panel.roles.future)
        static = [self._static(panel.static[name], name) for name in panel.roles.static]
        places = {name: place for place, name in enumerate(self.scales, 1)}
        return Standardised(
            np.clip(values, -FARTHEST, FARTHEST).astype(np.float32),
            np.concatenate([past, future], 1),
            future,
            np.concatenate([np.zeros((len(panel), 0), np.float32), *static], 1),
            np.array([places.get(name, 0) for name in panel.ids], np.int64),
        )

    def _columns(self, values: Floats, names: Sequence[str]) -> npt.NDArray[np.float32]:
        scales = np.array([self.columns[name] for name in names]).reshape(-1, 2)
        return np.clip((values - scales[:, 0]) / scales[:, 1], -FARTHEST, FARTHEST).astype(np.float32)

    def _static(self, cells: Sequence[Any], name: str) -> npt.NDArray[np.float32]:
        if name in self.words:
            return np.array([[str(cell) == word for word in self.words[name]] for cell in cells], np.float32)
        values = np.array([[np.nan if (found := number(cell)) is None else found] for cell in cells])
        return np.nan_to_num(self._columns(values, [name]))


def fit_scaler(panel: Panel, until: Integers, season: int) -> SeriesScaler:
    """The scaler of a panel, from the steps before `until` (N,) of each series alone."""
    measured = [_measure(panel.series(n)[: until[n]], season) for n in range(len(panel))]
    step = np.arange(len(panel.values)) - panel.bounds[:-1].repeat(np.diff(panel.bounds))
    begun = step < until.repeat(np.diff(panel.bounds))
    columns: dict[str, tuple[float, float]] = {}
    for names, values in ((panel.roles.past, panel.past), (panel.roles.future, panel.future)):
        columns |= {name: _moments(values[begun, k]) for k, name in enumerate(names)}
    words = {}
    for name in panel.roles.static:
        cells = panel.static[name]
        numbers = [number(cell) for cell in cells]
        if None in numbers:
            words[name] = tuple(sorted({str(cell): None for cell in cells}))
        else:
            columns[name] = _moments(np.array(numbers, np.float64))
    return SeriesScaler(season, dict(zip(panel.ids, measured, strict=True)), columns, words)


def _measure(values: Floats, season: int) -> tuple[float, float, float]:
    there = values[~np.isnan(values)]
    differences = np.abs(values[season:] - values[:-season])
    differences = differences[~np.isnan(differences)]
    seasonal_error = float(differences.mean()) if len(differences) else 0.0
    if there.min() == there.max():  # exactly: the deviation of a constant may be a rounding error
        return float(there[0]), 0.0, seasonal_error
    return float(there.mean()), float(there.std()), seasonal_error


def _moments(values: Floats) -> tuple[float, float]:
    there = values[~np.isnan(values)]
    if not len(there):
        return 0.0, 1.0
    return float(there.mean()), float(there.std()) or 1.0
