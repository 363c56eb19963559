"""A forecaster under the lens: its forecasts over the truth, and its gates over a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from elman.cells import cell_named
from elman.inspection import gates
from elman.inspection.clipped_steps import has_no_journal, look_at_journal
from elman.inspection.look import Look, Part
from elman.lens.gates import LayerGates, gated, gates_of, read_gates
from elman.lens.visit import LayerVisit, visit_layers
from elman.models.forecaster import SeriesForecaster
from elman.models.layered_forecaster import LayeredForecaster
from elman.report import Figure, Line, line_chart
from elman.tasks.forecasting.fans import look_at_forecasts
from elman.tasks.forecasting.input_gradients import look_at_gradients
from elman.tasks.forecasting.subject import READ, SeriesSubject


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
