"""The gates of a recurrent model: saturation and time scales, before and after training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from elman.cells import CELLS, cell_named
from elman.inspection.look import Observed, Part
from elman.inspection.subject import Subject
from elman.inspection.untrained import KEYS
from elman.lens.gates import LayerGates
from elman.models.configuration import IMPORTED
from elman.nn.recurrent import Recurrent
from elman.report import Chapter, Figure, Line, Points, line_chart, point_chart
from elman.report.figure import number
from elman.wording import percent

TEXT = (
    "A gate lets through between nothing (0) and all (1). One that is always open, or always shut, makes no "
    "choice; one that switches between both decides. A forget or update gate that stays open makes a unit that "
    "remembers for long."
)


def look(subject: Subject) -> Part:
    """Both models on the same windows of the text."""
    return chapter({name: reading.gates for name, reading in subject.readings.items()})


def has_no_gates(observed: Observed) -> str | None:
    """A `why_not` of this look."""
    model = observed.model
    names = [model.kind]
    if model.kind == IMPORTED:
        names = [layer.cell for layer in model.modules() if isinstance(layer, Recurrent)]
    return None if any(name in CELLS and CELLS[name].gates for name in names) else "the model has no gates"


def chapter(found: Mapping[str, list[LayerGates]]) -> Part:
    """The chapter of the gates of all layers, by the names of the models, the trained one first."""
    trained = found[KEYS[0]]
    gates = dict.fromkeys(gate for one in trained for gate in one.open)
    figures = [_saturation(gate, [one for one in trained if gate in one.open]) for gate in gates]
    figures.append(_time_scales(found))
    lines = [_words(layer, name) for name, layers in found.items() for layer in layers]
    numbers = {
        key: [vars(one) | {"saturated": {gate: one.saturated(gate) for gate in one.open}} for one in layers]
        for key, layers in zip(KEYS, found.values(), strict=True)
    }
    return Part(Chapter("Gates", TEXT, figures, lines), numbers, lines)


def _words(layer: LayerGates, model: str) -> str:
    names = cell_named(layer.cell).gates
    saturated = ", ".join(f"{names[gate]} {percent(layer.saturated(gate))}" for gate in layer.open)
    middle, longest = number(float(np.median(layer.time_scale))), number(float(layer.time_scale.max()))
    scale = f"time scale {middle} steps in the middle, {longest} at most"
    return f"{layer.layer}, {model}: saturated {saturated}; {scale}"


def _saturation(gate: str, layers: list[LayerGates]) -> Figure:
    groups = [
        Points(
            one.layer,
            one.open[gate],
            one.shut[gate],
            texts=[f"{one.layer}, unit {unit}" for unit in range(len(one.open[gate]))],
            colour=1 + depth,
        )
        for depth, one in enumerate(layers)
    ]
    return point_chart(
        groups,
        title=f"{cell_named(layers[0].cell).gates[gate].capitalize()} ({gate}): saturation",
        x="fraction of steps above 0.9 (open)",
        y="fraction below 0.1 (shut)",
        x_span=(0.0, 1.0),
        y_span=(0.0, 1.0),
        reading="Each point is a unit: at the lower right its gate is always open, at the upper left always shut, at "
        "the lower left it is in between, and on the diagonal it is a switch that is always one or the other.",
    )


def _time_scales(found: Mapping[str, list[LayerGates]]) -> Figure:
    lines = [
        Line(
            f"{one.layer}, {name}",
            np.linspace(0, 1, len(one.time_scale)),
            np.sort(one.time_scale),
            colour=1 + depth,
            dashed=name != KEYS[0],
        )
        for name, layers in found.items()
        for depth, one in enumerate(layers)
    ]
    cells = dict.fromkeys(one.cell for one in found[KEYS[0]])
    keeping = " and the ".join(cell.gates[cell.keeping or ""] for cell in map(cell_named, cells))
    return line_chart(
        lines,
        title=f"Time scales, from the {keeping}",
        x="fraction of the layer's units",
        y="steps",
        log_y=True,
        reading="The units in the order of how long they remember: the height is the number of steps in which a unit's "
        "memory falls to 1/e where nothing new is written.",
    )
