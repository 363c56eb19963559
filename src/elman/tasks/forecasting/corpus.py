"""The series of a training: read, cut into a training and a validation part, scaled, and cut into windows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.calendar import Calendar
from elman.data.panel import Panel, read_panel
from elman.data.series_columns import SeriesColumns
from elman.data.series_scaler import SeriesScaler, fit_scaler
from elman.data.series_sources import series_table
from elman.data.timestamps import Integers
from elman.data.windows import Windows, backtest_windows, training_windows
from elman.errors import UserError
from elman.reading import read_json
from elman.tasks.configuration import Settings
from elman.tasks.forecasting.baselines import Baselines, fit_baselines
from elman.tasks.task import NONE, Progress, Say

LONGEST_HORIZON = 48  # steps that are chosen
SEASONS, HORIZONS = 3, 2  # that the chosen window holds
SHOWN = 5  # ids that are named


@dataclass(frozen=True, eq=False)
class ForecastCorpus:
    """What is learnt from, and what is validated on."""

    train: Windows
    valid: Windows
    scaler: SeriesScaler
    calendar: Calendar
    columns: SeriesColumns
    baselines: Baselines
    season: int  # steps
    fingerprint: str

    @property
    def window(self) -> int:
        """Steps of the past, L."""
        return self.train.window

    @property
    def horizon(self) -> int:
        """Steps of the future, H."""
        return self.train.horizon

    @property
    def channels(self) -> tuple[int, int, int]:
        """The numbers of columns that are known up to the present, of those known ahead, and of static channels."""
        made = self.train.standardised
        return made.past.shape[1] - made.future.shape[1], made.future.shape[1], made.static.shape[1]


def read(
    settings: Settings, cache: Path, say: Say, progress: Progress | None, codecs: Mapping[str, Any] = NONE
) -> ForecastCorpus:
    """The series of `data.source`, and those of `data.valid` or else the end of each for validation.

    Raises `UserError` where they cannot be read, are others than they were, or are too short.
    """
    data = settings.data
    asked = SeriesColumns(
        data.id_column, data.time_column, data.target_column, data.past, data.future or (), data.static
    )
    panel = read_panel(series_table(data.source), codecs.get("columns", asked), codecs.get("calendar"))
    columns = replace(asked, past=panel.roles.past, future=panel.roles.future, static=panel.roles.static)
    other = read_panel(series_table(data.valid), columns, panel.calendar) if data.valid else None
    found = [each for each in (panel, other) if each is not None]
    fingerprint = hashlib.sha256("".join(each.fingerprint for each in found).encode()).hexdigest()
    if data.fingerprint not in ("", fingerprint):
        where = " and ".join(each.name for each in found)
        raise UserError(f"{where} does not hold the series that the run was trained on", remedy="train a new run")
    for each in found:
        tell_missing(each, say)
    typical = int(np.median(panel.lengths))
    known: Baselines | None = codecs.get("baselines")
    season = data.season or (known.season if known else panel.calendar.season(typical))
    horizon = data.horizon or (
        known.horizon if known else min(season if season > 1 else 8, LONGEST_HORIZON, 1 + typical // 5)
    )
    ends = panel.lengths if other else held_out(panel, data.held_out, horizon)
    typical = int(np.median(ends))
    window = data.window or (
        known.window if known else max(min(max(SEASONS * season, HORIZONS * horizon), typical - horizon), 1)
    )
    scaler = fit_scaler(panel, ends, season)
    if "scaler" in codecs:  # the model knows these columns by their scales
        begun: SeriesScaler = codecs["scaler"]
        scaler = replace(begun, season=season, scales={**begun.scales, **scaler.scales})
    train = training_windows(panel, scaler, ends, window, horizon)
    valid = backtest_windows(other or panel, scaler, window, horizon, begin=None if other else ends)
    tell_short(panel, ends, window + horizon, say)
    for part, name in ((train, panel.name), (valid.observed(), found[-1].name)):
        if not len(part):
            what = f"{name} has no series that is long enough"
            expected = f"{2 if other else 2 * horizon + 1} steps or more, for a horizon of {horizon}"
            remedy = (
                "ask for a smaller --horizon"
                if part is train or other
                else "ask for a smaller --horizon, or give --valid"
            )
            raise UserError(what, expected=expected, got=f"{panel.lengths.max()} in the longest", remedy=remedy)
    return ForecastCorpus(
        train, valid, scaler, panel.calendar, columns, fit_baselines(train, season), season, fingerprint
    )


def held_out(panel: Panel, fraction: float, horizon: int) -> Integers:
    """Where the training part of each series ends (N,).

    The validation part is a fraction of the series, and one horizon at least; a series that would keep less than one
    horizon and one step is learnt from as a whole.
    """
    ends = panel.lengths - np.maximum(np.round(fraction * panel.lengths).astype(np.int64), horizon)
    return np.where(ends > horizon, ends, panel.lengths)


def tell_missing(panel: Panel, say: Say) -> None:
    """Say how many values are missing, and which series have none at all."""
    if panel.missing:
        total = int(panel.lengths.sum())
        say(f"{panel.missing:,} of {total:,} values of {panel.name} are missing: they are neither filled nor scored")
    tell_empty(panel, say)


def tell_empty(panel: Panel, say: Say) -> None:
    """Say which series have no value at all."""
    if panel.empty:
        say(f"{_series(panel.empty)} of {panel.name} without a value: left out")


def tell_short(panel: Panel, lengths: Integers, whole: int, say: Say) -> None:
    """Say which series are shorter than a window and a horizon."""
    short = [panel.ids[n] for n in np.flatnonzero(lengths < whole)]
    if short:
        say(f"{_series(short)} of {panel.name} shorter than window and horizon, {whole} steps: used as far as they go")


def _series(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"{len(names):,} series ({shown})"


def read_codecs(folder: Path, model: Any) -> Mapping[str, Any]:
    """The codecs in a model's folder. Raises `UserError` where they are damaged, or another model's."""
    kinds = {"scaler": SeriesScaler, "calendar": Calendar, "columns": SeriesColumns}
    codecs: dict[str, Any] = {name: read_json(folder / f"{name}.json", kind) for name, kind in kinds.items()}
    stored = read_json(folder / "baselines.json", StoredBaselines)
    weights = np.array(stored.weights)
    wanted = (model.past_steps + 1, model.horizon)
    if weights.shape != wanted:
        what = f"{folder / 'baselines.json'} is another model's"
        raise UserError(what, expected=f"weights of the shape {wanted}", got=weights.shape)
    spread = {name: np.array(values) for name, values in stored.spread.items()}
    return codecs | {"baselines": Baselines(stored.season, weights, spread)}


@dataclass(frozen=True)
class StoredBaselines:
    """The content of `baselines.json`."""

    season: int
    weights: list[list[float]]
    spread: dict[str, list[list[float]]]
