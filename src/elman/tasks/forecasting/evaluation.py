"""The scores of a forecaster on some series, beside those of simple forecasts of the same windows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from elman.data.panel import Floats, Panel, read_panel
from elman.data.series_sources import series_table
from elman.data.timestamps import Integers
from elman.data.windows import WindowBatch, Windows, backtest_windows, evaluation_batches
from elman.errors import UserError
from elman.metrics.forecasts import LEVELS, ForecastScores
from elman.metrics.words import words
from elman.tasks.exchange import Evaluation, Progress, Say, Sources, Trained
from elman.tasks.forecasting.baselines import NAMES
from elman.tasks.forecasting.cache import ForecastCache, forecast_windows
from elman.tasks.forecasting.corpus import tell_missing, tell_short
from elman.tasks.forecasting.tracking import WidthTracker

if TYPE_CHECKING:
    from elman.tasks.forecasting.settings import Backtest

BATCH = 512  # windows
TOGETHER = 32  # batches whose widths are found at once, those of their series side by side
TITLES = {"naive": "naive", "seasonal_naive": "seasonal naive", "linear": "linear"}
HEADINGS = {
    "mae": "MAE",
    "mse": "MSE",
    "mse_standardised": "MSE, standardised",
    "mase": "MASE",
    "smape": "sMAPE, 0 to 200",
    "quantile_loss": "scaled pinball loss",
    "coverage_80": "coverage of 80 %",
}


def evaluate_forecasts(run: Trained, data: Sources, options: Backtest, say: Say, progress: Progress) -> Evaluation:
    """Score every window of the series, or those that the options leave.

    Raises `UserError` where the series cannot be read, or none has two steps.
    """
    panel = read_given(run, data)
    tell_missing(panel, say)
    model = run.model
    windows = backtest_windows(
        panel, run.scaler, model.past_steps, model.horizon, step=options.step, last=options.windows
    )
    tell_short(panel, panel.lengths, model.past_steps, model.horizon, say)
    if not windows.targets:
        raise UserError(f"{panel.name} has nothing to score", expected="a series of two steps or more", got="none")
    scores, loss = backtest(run, windows, progress)
    report = {name: each.report() for name, each in scores.items()}
    own, count = report.pop("model"), int(scores["model"].counts.sum())
    without = scores["model"].without_scale
    counts = {
        "windows": len(windows),
        "series": len(panel),
        "values": count,
        "missing": panel.missing,
        "series_without_scale": without,
        "horizon": model.horizon,
        "season": run.baselines.season,
    }
    lines = [("loss", f"{words(loss)} a value")]
    others = "".join(f"{TITLES[name]:>16}" for name in NAMES)
    lines.append(("", f"{'model':>12}{others}"))
    for name, heading in HEADINGS.items():
        row = "".join(f"{_cell(report[each][name]):>16}" for each in NAMES)
        lines.append((heading, f"{_cell(own[name]):>12}{row}"))
    if without:
        lines.append(
            ("no scale", f"{without:,} of {len(panel):,} series do not change in training: neither MASE nor pinball")
        )
    lines.append(("windows", f"{len(windows):,} of {len(panel):,} series, {count:,} values"))
    season = run.baselines.season
    lines.append(("season", f"{season:,} steps of {panel.calendar.step_name}" if season > 1 else "none"))
    return Evaluation({"loss": loss} | own | counts | report, lines)


def read_given(run: Trained, data: Sources) -> Panel:
    """The series in the one place of data, in the columns and on the calendar of a run."""
    if len(data) != 1:
        raise UserError("DATA", expected="one table of series", got=len(data), exit_code=2)
    return read_panel(series_table(data[0]), run.columns, run.codecs.get("calendar"))


def backtest(run: Trained, windows: Windows, progress: Progress) -> tuple[dict[str, ForecastScores], float]:
    """The scores of the "model" and of each baseline, and the model's mean loss a value."""
    scales, H = windows.scales, windows.horizon
    scores = {name: ForecastScores(scales.seasonal_error, scales.deviation, H) for name in ("model", *NAMES)}
    loss = 0.0
    for rows, batch, made in forecasts(run, windows):
        truth = windows.truth(rows)
        losses = np.where(np.isnan(truth), 0.0, made.pop("loss"))
        loss += float(losses.sum())
        for name, (mean, quantiles) in made.items():
            scores[name].add(batch.series.numpy(), truth, mean, quantiles)
        progress("forecasting", (int(rows[-1]) + 1) / len(windows))
    return scores, loss / max(windows.targets, 1)


def forecasts(run: Trained, windows: Windows) -> Iterator[tuple[Integers, WindowBatch, dict[str, Any]]]:
    """Every window forecast: rows (B,), the batch, and means (B, H) and quantiles (B, H, 3) in the data's units.

    By name: "model", and the baselines; "loss" has the model's losses (B, H).
    """
    levels = [run.model.levels.index(level) for level in LEVELS]
    for rows, batch, mean, quantiles in _standardised(run, windows):
        with torch.no_grad():
            losses = run.model.loss(batch.to(next(run.model.parameters()).device)).double().cpu().numpy()
        made: dict[str, Any] = {"loss": losses, "model": _in_units(windows, rows, mean, quantiles[..., levels])}
        for name, mean in run.baselines.forecast(batch).items():
            made[name] = _simple_in_units(windows, rows, mean, run.baselines.spread[name])
        yield rows, batch, made


def model_forecasts(
    run: Trained, windows: Windows, cache: ForecastCache | None = None
) -> Iterator[tuple[Integers, Floats, Floats]]:
    """The model's forecasts: rows (B,), means (B, H), and quantiles (B, H, Q) of its levels, in the data's units."""
    for rows, _, mean, quantiles in _standardised(run, windows, cache):
        yield rows, *_in_units(windows, rows, mean, quantiles)


def _standardised(
    run: Trained, windows: Windows, cache: ForecastCache | None = None
) -> Iterator[tuple[Integers, WindowBatch, Floats, Floats]]:
    """Rows (B,), batches, means (B, H) and quantiles (B, H, Q), whose widths follow the errors of their series."""
    tracker, lasting = WidthTracker(run.model), run.scaler.lasting(windows.panel)
    batches = evaluation_batches(windows, BATCH)
    while together := list(islice(batches, TOGETHER)):
        made = []
        for rows, batch in together:
            last = lasting[windows.series[rows]]
            forecast = forecast_windows(run.model, batch) if cache is None else cache(batch, last)
            made.append([*forecast, batch.future.double().numpy()])
        rows = np.concatenate([rows for rows, _ in together])
        quantiles, truth = (np.concatenate([parts[at] for parts in made]) for at in (1, 2))
        moved = tracker(windows.series[rows], windows.origins[rows], quantiles, truth)
        for (rows, batch), (mean, *_) in zip(together, made, strict=True):
            yield rows, batch, mean, moved[rows - together[0][0][0]]


def _in_units(windows: Windows, rows: Integers, mean: Floats, quantiles: Floats) -> tuple[Floats, Floats]:
    """Standardised values in the units of the data: those of a constant series are all its constant."""
    series = windows.series[rows]
    location, deviation = windows.scales.mean[series, None], windows.scales.deviation[series, None]
    return location + deviation * mean, location[..., None] + deviation[..., None] * quantiles


def _simple_in_units(windows: Windows, rows: Integers, mean: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """A simple forecast and its quantiles in the units of the data.

    Where the deviation is 0, windows are in units of 1: the last value of a series that was constant in training is
    its last value, even if it changes now. There its intervals have no width, for there was no error to learn from.
    """
    series = windows.series[rows]
    location, deviation = windows.scales.mean[series, None], windows.scales.deviation[series, None]
    made = location + np.where(deviation > 0, deviation, 1.0) * mean
    return made, made[..., None] + deviation[..., None] * spread


def _cell(value: float | None) -> str:
    return "none" if value is None else words(value)
