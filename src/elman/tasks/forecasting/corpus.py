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
from elman.data.seasons import find_season
from elman.data.series_columns import SeriesColumns
from elman.data.series_scaler import SeriesScaler, fit_scaler
from elman.data.series_sources import series_table
from elman.data.timestamps import Integers, parse_times
from elman.data.windows import Windows, backtest_windows, training_windows
from elman.errors import UserError
from elman.reading import Unreadable, read_json
from elman.tasks.configuration import Settings
from elman.tasks.exchange import NONE, Progress, Say
from elman.tasks.forecasting.baselines import Baselines, fit_baselines, read_baselines
from elman.tasks.forecasting.settings import SeriesSettings

USUAL, LONGEST_HORIZON = 8, 48  # steps that are chosen where there is no season, and at most
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
    season, horizon, window, ends = _sizes(data, panel, codecs.get("baselines"))
    scaler = fit_scaler(panel, ends, season)
    if "scaler" in codecs:  # the model knows these columns by their scales
        begun: SeriesScaler = codecs["scaler"]
        scaler = replace(begun, season=season, scales={**begun.scales, **scaler.scales})
    train = training_windows(panel, scaler, ends, window, horizon)
    valid = backtest_windows(other or panel, scaler, window, horizon, begin=None if other else ends)
    tell_short(panel, ends, window, horizon, say)
    for part, name in ((train, panel.name), (valid.observed(), found[-1].name)):
        if not len(part):
            what = f"{name} has no series that is long enough"
            expected = f"{2 if other else 2 * horizon + 1} steps or more, for a horizon of {horizon}"
            remedy = "ask for a smaller --horizon" + ("" if other else ", or give --valid")
            raise UserError(what, expected=expected, got=f"{panel.lengths.max()} in the longest", remedy=remedy)
    baselines = fit_baselines(train, season)
    return ForecastCorpus(train, valid, scaler, panel.calendar, columns, baselines, season, fingerprint)


def _sizes(data: SeriesSettings, panel: Panel, known: Baselines | None) -> tuple[int, int, int, Integers]:
    """The season, the horizon and the window, chosen where a person or a run before does not say them, and `held_out`.

    Nothing is chosen by values that are held out.
    """
    typical = int(np.median(panel.lengths))
    longest = min(LONGEST_HORIZON, 1 + typical // 5)
    season = data.season or (known.season if known else panel.calendar.season(typical))
    if season == 1 and not data.season and not known:
        cut = panel.lengths if data.valid else _before(panel, data.held_out, data.horizon or longest)
        season = find_season(panel, np.maximum(cut, 1))
    horizon = data.horizon or (known.horizon if known else min(season if season > 1 else USUAL, longest))
    ends = panel.lengths if data.valid else held_out(panel, data.held_out, horizon)
    room = int(np.median(ends)) - horizon
    window = data.window or (known.window if known else max(min(max(SEASONS * season, HORIZONS * horizon), room), 1))
    return season, horizon, window, ends


def held_out(panel: Panel, fraction: float, horizon: int) -> Integers:
    """Where the training part of each series ends (N,).

    The validation part is a fraction of the series, and one horizon at least; a series that would keep less than one
    horizon and one step is learnt from as a whole.
    """
    ends = _before(panel, fraction, horizon)
    return np.where(ends > horizon, ends, panel.lengths)


def _before(panel: Panel, fraction: float, horizon: int) -> Integers:
    return panel.lengths - np.maximum(np.round(fraction * panel.lengths).astype(np.int64), horizon)


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


def tell_short(panel: Panel, lengths: Integers, window: int, horizon: int, say: Say) -> None:
    """Say which series are shorter than a window and a horizon, which may be 0."""
    whole = window + horizon
    short = [panel.ids[n] for n in np.flatnonzero(lengths < whole)]
    if short:
        parts = "window and horizon" if horizon else "the window"
        say(f"{_series(short)} of {panel.name} shorter than {parts}, {whole} steps: used as far as they go")


def _series(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"{len(names):,} series ({shown})"


def read_codecs(folder: Path, model: Any) -> Mapping[str, Any]:
    """The codecs in a model's folder. Raises `UserError` where they are damaged, or another model's."""
    kinds = {"scaler": SeriesScaler, "calendar": Calendar, "columns": SeriesColumns}
    if hasattr(model, "network") and not (folder / "calendar.json").exists():
        del kinds["calendar"]  # a model of another framework takes series of any calendar
    codecs: dict[str, Any] = {name: read_json(folder / f"{name}.json", kind) for name, kind in kinds.items()}
    calendar = codecs.get("calendar")
    if (
        calendar
        and parse_times([calendar.style], lambda row: f"{folder / 'calendar.json'}: style").kind != calendar.kind
    ):
        raise Unreadable(f"{folder / 'calendar.json'} is damaged (style: expected a time of the kind {calendar.kind})")
    columns, scaler = codecs["columns"], codecs["scaler"]
    past, future, static = columns.past or (), columns.future, columns.static or ()
    unknown = [name for name in (*past, *future, *static) if name not in scaler.columns and name not in scaler.words]
    channels = len(past), len(future), sum(len(scaler.words.get(name, "1")) for name in static)
    if unknown or channels != tuple(model.channels):
        what, got = f"{folder / 'scaler.json'} is another model's", f"{channels} without {unknown}"
        raise UserError(what, expected=f"further columns of {tuple(model.channels)} channels", got=got)
    return codecs | {"baselines": read_baselines(folder / "baselines.json", model.past_steps, model.horizon)}
