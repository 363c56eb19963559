"""Forecasts over the truth: their fans, series by series, and how wrong they are at each step of the horizon."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from elman.arrays import Floats
from elman.inspection.look import Part
from elman.report import Chapter, Figure, Line, bar_chart, choice, fan_chart, line_chart
from elman.report.figure import number
from elman.tasks.forecasting.baselines import NAMES
from elman.tasks.forecasting.evaluation import TITLES, backtest, model_forecasts
from elman.tasks.forecasting.subject import READ, SeriesSubject

MEASURED = 2048  # windows whose forecasts are scored
MOST_BARS = 24  # series in a chart
FANS = 4  # of the best series, and of the worst
INTERVAL = 80  # per cent


def look_at_forecasts(subject: SeriesSubject) -> Part:
    """Errors by the step of the horizon and by series, and fans of the best and the worst series over the truth."""
    windows = subject.windows.thinned(MEASURED)
    scores, _ = backtest(subject.run, windows, lambda stage, done: None)
    by_step = {name: scores[name].by_step() for name in ("model", *NAMES)}
    by_series = scores["model"].by_series()
    covered = 100 * scores["model"].by_step("covered")
    known = np.flatnonzero(~np.isnan(by_series))
    order = known[np.argsort(by_series[known], kind="stable")]
    figures = [_fans(subject, order), _horizon_figure(by_step), _coverage_figure(covered)]
    if len(order) > 1:
        figures.append(_series_figure(subject, by_series, order))
    ids, mean = windows.panel.ids, {name: scores[name].report() for name in by_step}
    own, naive = mean["model"]["mse_standardised"], {name: mean[name]["mse_standardised"] for name in NAMES}
    floor = min(naive, key=lambda name: naive[name])
    verdict = "better" if own < naive[floor] else "worse" if own > naive[floor] else "no better"
    summary = (
        f"The squared error is {number(own)} (standardised), {verdict} than that of the {TITLES[floor]} forecast, the "
        f"best of the simple ones ({number(naive[floor])})."
    )
    best, worst = (f"{ids[n]} ({number(float(by_series[n]))})" for n in (order[0], order[-1]))
    lines = [
        *([f"the best series is {best}, the worst {worst}"] if len(order) > 1 else []),
        f"{number(mean['model']['coverage_80'])} % of the values lie in the intervals of 80 %",
    ]
    text = (
        f"Forecasts of {len(windows):,} windows beside the truth and beside forecasts that need no training. Errors "
        "are squared and standardised by each series' training part, so that series of any size can be compared."
    )
    numbers = {
        "by_step": by_step,
        "coverage_80_by_step": covered,
        "by_series": {ids[n]: by_series[n] for n in order},
        "mse_standardised": {"model": own, **naive},
        "coverage_80": mean["model"]["coverage_80"],
    }
    return Part(Chapter("Forecasts", text, figures, [summary, *lines]), numbers, lines, summary)


def _horizon_figure(by_step: dict[str, Floats]) -> Figure:
    steps = np.arange(1, len(by_step["model"]) + 1)
    lines = [
        Line(TITLES.get(name, name), steps, values, colour=place, dashed=name != "model")
        for place, (name, values) in enumerate(by_step.items(), 1)
    ]
    return line_chart(
        lines,
        title="Error against the horizon",
        x="steps ahead",
        y="squared error, standardised",
        zero=True,
        reading="How wrong forecasts are so many steps ahead: a model is of use where its line is below the others.",
    )


def _series_figure(subject: SeriesSubject, by_series: Floats, order: Any) -> Figure:
    half = MOST_BARS // 2
    shown = order if len(order) <= MOST_BARS else np.concatenate([order[:half], order[-half:]])
    which = "" if len(shown) == len(order) else f", the {half} best and the {half} worst"
    return bar_chart(
        [subject.windows.panel.ids[n] for n in shown],
        by_series[shown],
        title=f"Error of each series{which}",
        x="squared error, standardised",
        reading="The mean over the windows of each series, the best first.",
    )


def _coverage_figure(covered: Floats) -> Figure:
    steps = np.arange(1, len(covered) + 1)
    wanted = np.full(len(covered), float(INTERVAL))
    return line_chart(
        [Line("values within the interval", steps, covered, colour=1), Line("promised", steps, wanted, dashed=True)],
        title=f"Coverage of the {INTERVAL} % interval against the horizon",
        x="steps ahead",
        y="% of the values",
        y_span=(0.0, 100.0),
        reading="Below the dashed line the fan is too narrow at that step, above it too wide.",
    )


def _fans(subject: SeriesSubject, order: Any) -> Figure:
    """Fans of the worst and of the best series, all where there are so few."""
    ids, half = subject.windows.panel.ids, FANS if len(order) > 2 * FANS else len(order)
    worst_first = dict.fromkeys([*order[::-1][:half].tolist(), *order[:FANS].tolist()])
    options = {}
    for series in worst_first:
        place = int(np.flatnonzero(order == series)[0]) + 1
        which = {len(order): "the worst", 1: "the best"}.get(place, f"number {place} of {len(order)}")
        options[ids[series]] = _fan(subject, series, "the only series" if len(order) == 1 else which)
    return choice(options, title="Forecasts over the truth, the worst series first")


def _fan(subject: SeriesSubject, series: int, which: str) -> Figure:
    """The middling window of a series: its past, its future, and the forecast with its quantiles."""
    own = np.flatnonzero(subject.windows.series == series)
    part = replace(subject.windows, series=subject.windows.series[own], origins=subject.windows.origins[own])
    part = part.thinned(READ)
    made = [(part.truth(rows), mean, quantiles) for rows, mean, quantiles in model_forecasts(subject.run, part)]
    future, mean, quantiles = (np.concatenate(each) for each in zip(*made, strict=True))
    errors = np.nanmean(np.square(mean - future), 1)
    row = int(np.argsort(errors)[(~np.isnan(errors)).sum() // 2])
    window, origin, panel = part.window, int(part.origins[row]), part.panel
    begin = max(origin - max(window, part.horizon), 0)
    name = panel.ids[series]
    return fan_chart(
        panel.series(series)[begin:origin],
        {level: quantiles[row, :, at] for at, level in enumerate(subject.model.levels)},
        truth=future[row],
        mean=mean[row],
        title=f"{name}, {which}",
        x="steps ahead",
        y=name,
        wide=True,
        reading=f"The window of middling error: the truth should leave the band of {INTERVAL} % about once in five "
        f"steps. What lies left of 0 is what the model reads, {window} steps at most.",
    )
