"""Forecasts of the steps after the end of series, as a long table: unique_id, ds, mean, and quantiles."""

from __future__ import annotations

import csv
import io
import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.data.calendar import NUMBERED
from elman.data.panel import Panel, read_panel
from elman.data.series_columns import SeriesColumns
from elman.data.series_sources import series_table
from elman.data.table import DataTable, table_in_lines, table_of
from elman.data.timestamps import Integers
from elman.data.windows import last_windows
from elman.errors import UserError
from elman.tasks.exchange import Answer, Inputs, Say, Trained
from elman.tasks.forecasting.cache import ForecastCache
from elman.tasks.forecasting.corpus import tell_empty, tell_short
from elman.tasks.forecasting.evaluation import model_forecasts

if TYPE_CHECKING:
    from elman.tasks.forecasting.settings import ForecastingOptions

TRACKED = 256  # forecasts before the end of a series, whose errors say how wide its intervals are
DIGITS = 6  # of a forecast, beyond the first of the series' deviation


def predict(run: Trained, inputs: Inputs, options: ForecastingOptions, say: Say) -> Iterator[Answer]:
    """Forecast the steps after the end of every series.

    Of a table there is an answer for each series, with the rows of a CSV file as its lines. Of objects in memory there
    is one for each: of a table (rows as mappings) a table, as of a series (numbers), whose steps are counted from 0.
    Raises `UserError` where a table cannot be read.
    """
    if options.stream:
        from elman.tasks.forecasting.streaming import streamed

        yield from streamed(run, inputs, say)
        return
    if inputs.memory is None:
        for place, series in enumerate(answered(run, _panel(run, _table(inputs)), say), 1):
            header = [csv_line(series[0].keys())] if place == 1 and series else []
            lines = [*header, *(csv_line(row.values()) for row in series)]
            columns = {name: [row[name] for row in series] for name in series[0]}
            yield Answer(place, series, lines, columns | {"unique_id": series[0]["unique_id"]})
        return
    for place, given in enumerate(inputs.memory, 1):
        panel = panel_in_memory(run, given, f"input {place}")
        rows = [row for series in answered(run, panel, say) for row in series]
        yield Answer(place, rows, [csv_line(row.values()) for row in rows], {"forecast": rows})


def _table(inputs: Inputs) -> DataTable:
    if inputs.path is not None:
        return series_table(inputs.path)
    lines = [line for block in inputs.arriving for line in block]
    for place, line in enumerate(lines, 1):
        if line.error:
            raise UserError(f"{inputs.name}, line {place}: {line.error}")
    return table_in_lines([line.text for line in lines], inputs.name)


def _panel(run: Trained, table: DataTable) -> Panel:
    return read_panel(table, run.columns, run.codecs.get("calendar"))


def panel_in_memory(run: Trained, given: Any, name: str) -> Panel:
    """The panel of a table in memory, or of a series of numbers."""
    rows = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if rows and all(isinstance(row, Mapping) for row in rows):
        return _panel(run, table_of(enumerate(rows, 1), name, "row"))
    if rows and all(row is None or isinstance(row, int | float) for row in rows):
        records = ({"unique_id": name, "ds": step, "y": value} for step, value in enumerate(rows))
        return read_panel(table_of(enumerate(records, 1), name, "value"), SeriesColumns(), NUMBERED)
    raise UserError(name, expected="a table of series, or the numbers of one", got=reprlib.repr(given))


def answered(
    run: Trained, panel: Panel, say: Say, cache: ForecastCache | None = None
) -> Iterator[list[dict[str, Any]]]:
    """The rows of each series' forecast."""
    tell_empty(panel, say)
    tell_short(panel, panel.lengths, run.model.past_steps, 0, say)
    missing = missing_ahead(run, panel)
    if missing.any():
        raise not_ahead(panel, int(missing.argmax()), run.model.horizon, int(missing.max()))
    for n, rows in enumerate(panel_forecasts(run, panel, cache)):
        yield [{"unique_id": panel.ids[n], **row} for row in rows]


def panel_forecasts(run: Trained, panel: Panel, cache: ForecastCache | None = None) -> Iterator[list[dict[str, Any]]]:
    """Of each series: the time, the mean and the quantiles of every step after its last value."""
    model = run.model
    before = 0 if model.form == "likelihood" else TRACKED  # samples would take long
    windows = last_windows(panel, run.scaler, model.past_steps, model.horizon, before)
    names = ["mean", *level_names(model.levels)]
    for batch_rows, mean, quantiles in model_forecasts(run, windows, cache):
        for row, middle, spread in zip(batch_rows.tolist(), mean, quantiles, strict=True):
            n = int(windows.series[row])
            if windows.origins[row] < panel.lengths[n]:
                continue  # a forecast whose errors the widths follow
            deviation = float(windows.scales.deviation[n])
            digits = max(DIGITS - math.floor(math.log10(deviation)), 0) if deviation else None
            times = panel.times(n, int(panel.lengths[n]), model.horizon)
            yield [
                {"ds": int(time) if panel.calendar.kind == "integer" else time}
                | {
                    name: float(value) if digits is None else round(float(value), digits)
                    for name, value in zip(names, [center, *row], strict=True)
                }
                for time, center, row in zip(times, middle, spread, strict=True)
            ]


def level_names(levels: Sequence[float]) -> list[str]:
    """The names of quantiles.

    >>> level_names([0.1, 0.5])
    ['q10', 'q50']
    """
    return [f"q{100 * level:g}" for level in levels]


def missing_ahead(run: Trained, panel: Panel) -> Integers:
    """For how many of the steps to come (N,) a column that is known ahead is not given."""
    if not panel.roles.future:
        return np.zeros(len(panel), np.int64)
    windows = last_windows(panel, run.scaler, run.model.past_steps, run.model.horizon)
    missing = windows.batch(np.arange(len(windows))).future_exogenous.isnan().any(-1).sum(-1)
    return missing.numpy()


def not_ahead(panel: Panel, n: int, horizon: int, missing: int) -> UserError:
    """The error of a series without so many steps of the columns that are known ahead."""
    columns = " and ".join(panel.roles.future)
    return UserError(
        f"{panel.name}: {panel.ids[n]!r}",
        expected=f"{columns} for the {horizon} steps after its last value",
        got=f"{horizon - missing}",
        remedy=f"append rows for them, {panel.roles.targets[0]} left empty",
    )


def csv_line(cells: Any) -> str:
    """Cells as a line of CSV, without its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
