"""A forecaster under the lens: its forecasts over the truth, and its gates over a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from elman.arrays import Floats
from elman.cells import cell_named
from elman.inspection import gates
from elman.inspection.clipped_steps import has_no_journal, look_at_journal
from elman.inspection.look import Look, Part
from elman.lens.gates import LayerGates, gated, gates_of, read_gates
from elman.lens.visit import LayerVisit, visit_layers
from elman.models.forecaster import SeriesForecaster
from elman.models.layered_forecaster import LayeredForecaster
from elman.report import Chapter, Figure, Line, Mark, bar_chart, line_chart
from elman.report.figure import number
from elman.tasks.forecasting.baselines import NAMES
from elman.tasks.forecasting.evaluation import TITLES, backtest, forecasts
from elman.tasks.forecasting.input_gradients import look_at_gradients
from elman.tasks.forecasting.subject import READ, SeriesSubject

MEASURED = 2048  # windows whose forecasts are scored
MOST_BARS = 24  # series in a chart
FAN = ("best", "worst")


def look_at_forecasts(subject: SeriesSubject) -> Part:
    """Errors by the step of the horizon and by series, and fans of the best and the worst series over the truth."""
    windows = subject.windows.thinned(MEASURED)
    scores, _ = backtest(subject.run, windows, lambda stage, done: None)
    by_step = {name: scores[name].by_step() for name in ("model", *NAMES)}
    by_series = scores["model"].by_series()
    known = np.flatnonzero(~np.isnan(by_series))
    order = known[np.argsort(by_series[known], kind="stable")]
    figures = [
        _horizon_figure(by_step),
        *(_fan(subject, series, which) for series, which in zip((order[0], order[-1]), FAN, strict=True)),
    ]
    if len(order) > 1:
        figures.append(_series_figure(subject, by_series, order))
    ids, mean = windows.panel.ids, {name: scores[name].report() for name in by_step}
    own, naive = mean["model"]["mse_standardised"], {name: mean[name]["mse_standardised"] for name in NAMES}
    floor = min(naive, key=lambda name: naive[name])
    better = "less" if own < naive[floor] else "not less"
    lines = [
        f"squared error {number(own)} (standardised), {better} than the best of the simple forecasts, "
        f"{TITLES[floor]}: {number(naive[floor])}",
        f"the best series is {ids[order[0]]} ({number(float(by_series[order[0]]))}), "
        f"the worst {ids[order[-1]]} ({number(float(by_series[order[-1]]))})",
        f"{number(mean['model']['coverage_80'])} % of the values lie in the intervals of 80 %",
    ]
    text = (
        f"Forecasts of {len(windows):,} windows beside the truth and beside forecasts that need no training. Errors "
        "are squared and standardised by each series' training part, so that series of any size can be compared."
    )
    numbers = {
        "by_step": by_step,
        "by_series": {ids[n]: by_series[n] for n in order},
        "mse_standardised": {"model": own, **naive},
        "coverage_80": mean["model"]["coverage_80"],
    }
    return Part(Chapter("Forecasts", text, figures, lines), numbers, lines, lines[0])


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


def _fan(subject: SeriesSubject, series: int, which: str) -> Figure:
    """The middling window of a series: its past, its future, and the forecast with its interval of 80 %."""
    own = np.flatnonzero(subject.windows.series == series)
    part = replace(subject.windows, series=subject.windows.series[own], origins=subject.windows.origins[own])
    part = part.thinned(READ)
    truth, means, quantiles = [], [], []
    for rows, _, made in forecasts(subject.run, part):
        truth.append(part.truth(rows))
        means.append(made["model"][0])
        quantiles.append(made["model"][1])
    future, mean, fan = (np.concatenate(each) for each in (truth, means, quantiles))
    errors = np.nanmean(np.square(mean - future), 1)
    row = int(np.argsort(errors)[(~np.isnan(errors)).sum() // 2])
    window, origin, panel = part.window, int(part.origins[row]), part.panel
    begin = max(origin - max(window, part.horizon), 0)
    past = panel.series(series)[begin:origin]
    ahead = np.arange(1, part.horizon + 1)
    lines = [
        Line("truth", np.arange(begin - origin + 1, part.horizon + 1), np.concatenate([past, future[row]]), colour=2),
        Line("forecast, 80 % interval", ahead, mean[row], fan[row, :, 0], fan[row, :, -1], colour=1),
    ]
    return line_chart(
        lines,
        title=f"The {which} series, {panel.ids[series]}",
        x="steps ahead",
        y=panel.ids[series],
        wide=True,
        marks=[Mark(0.5, "now")],
        reading=f"The window of middling error: the truth should leave the band about once in five steps. What lies "
        f"left of the mark is what the model reads, {window} steps at most.",
    )


@torch.no_grad()
def look_at_gates(subject: SeriesSubject) -> Part:
    """The gates of both models on the same windows, and those of the trained one over a series."""
    batch = subject.batch(READ)

    def visits(model: SeriesForecaster) -> list[LayerVisit]:
        inputs, lengths = model.inputs(batch)
        return visit_layers(model, lambda: _encoder(model)(inputs, lengths=lengths))

    found: dict[str, list[LayerGates]] = {
        name: [read_gates(visit) for visit in gated(visits(model))] for name, model in subject.models.items()
    }
    part = gates.chapter(found)
    return replace(
        part,
        chapter=replace(
            part.chapter, figures=[*part.chapter.figures, _gates_over(subject, batch, gated(visits(subject.model))[0])]
        ),
    )


def _encoder(model: SeriesForecaster) -> nn.Module:
    """What reads the inputs."""
    return model.network if isinstance(model, LayeredForecaster) else model.encoder


def _gates_over(subject: SeriesSubject, batch: Any, visit: LayerVisit) -> Figure:
    """The mean of each gate of the first layer at each step of the longest window, over the window's values."""
    model, cell = subject.model, cell_named(visit.cell)
    row = int(batch.lengths.argmax())
    values = batch.past[row, : batch.lengths[row]].double().numpy()
    x = np.arange(len(values))
    spread = np.nanmax(values) - np.nanmin(values) or 1.0
    lines = [Line("the series, from 0 to 1", x, (values - np.nanmin(values)) / spread, dashed=True)]
    steps = -(-len(values) // model.segment)
    ends = len(values) - 1 - model.segment * np.arange(steps)[::-1]
    for gate, found in gates_of(visit).items():
        mean = found[:steps, row].double().mean(-1).numpy()
        lines.append(Line(f"{cell.gates[gate]} ({gate})", ends, mean))
    return line_chart(
        lines,
        title="Gates over a window",
        x="step",
        y="mean over the units",
        y_span=(0.0, 1.0),
        wide=True,
        reading="The mean of each gate of the first layer after each step (or segment) of a window, over its values: a "
        "gate that moves with the series reacts to it, a level one is a constant of the model.",
    )


LOOKS: dict[str, Look] = {
    "forecasts": Look(look_at_forecasts),
    "gradients": Look(look_at_gradients),
    "gates": Look(look_at_gates, gates.has_no_gates),
    "clipping": Look(look_at_journal, has_no_journal),
}
