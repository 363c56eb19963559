"""The gates of a recurrent model: saturation and time scales, before and after training."""

from __future__ import annotations

import numpy as np

from elman.cells import cell_named
from elman.inspection.look import Part
from elman.inspection.subject import Subject
from elman.inspection.untrained import KEYS
from elman.lens.gates import LayerGates, read_gates
from elman.lens.visit import visit_layers
from elman.models import LanguageModel
from elman.report import Chapter, Figure, Line, Points, line_chart, point_chart
from elman.report.figure import number

ROWS, STEPS = 16, 256

TEXT = (
    "A gate lets through between nothing (0) and all (1). One that is nearly always open or shut hardly decides "
    "anything; a forget or update gate that stays open makes a unit that remembers for long."
)


def look(subject: Subject) -> Part:
    """Both models on the same windows of the text."""
    windows = subject.windows(ROWS, STEPS)
    resets = subject.resets(windows)

    def gates_of(model: LanguageModel) -> list[LayerGates]:
        return [read_gates(visit) for visit in visit_layers(model, lambda: model.read(windows, resets=resets))]

    found = {name: gates_of(model) for name, model in subject.models.items()}
    trained = found["trained"]
    figures = [_saturation(gate, trained) for gate in trained[0].open]
    figures.append(_time_scales(found))
    findings = []
    for name, layers in found.items():
        for layer in layers:
            parts = ", ".join(f"{_words(layer, gate)} {layer.saturated(gate):.0%}" for gate in layer.open)
            findings.append(f"{layer.layer}, {name}: saturated {parts}; time scale {_scale_words(layer)}")
    numbers = {
        key: [
            {
                "layer": layer.layer,
                "shut": layer.shut,
                "open": layer.open,
                "mean": layer.mean,
                "saturated": {gate: layer.saturated(gate) for gate in layer.open},
                "time_scale": layer.time_scale,
            }
            for layer in layers
        ]
        for key, layers in zip(KEYS, found.values(), strict=True)
    }
    return Part(Chapter("Gates", TEXT, figures, findings), numbers, findings)


def _words(layer: LayerGates, gate: str) -> str:
    return cell_named(layer.cell).gates[gate]


def _scale_words(layer: LayerGates) -> str:
    middle, longest = np.median(layer.time_scale), layer.time_scale.max()
    return f"{number(float(middle))} steps in the middle, {number(float(longest))} at most"


def _saturation(gate: str, layers: list[LayerGates]) -> Figure:
    groups = [
        Points(
            layer.layer,
            layer.open[gate],
            layer.shut[gate],
            colour=1 + depth,
            texts=[f"{layer.layer}, unit {unit}" for unit in range(len(layer.open[gate]))],
        )
        for depth, layer in enumerate(layers)
    ]
    return point_chart(
        groups,
        title=f"{_words(layers[0], gate).capitalize()} ({gate}): saturation",
        x="fraction of steps above 0.9 (open)",
        y="fraction below 0.1 (shut)",
        x_span=(0.0, 1.0),
        y_span=(0.0, 1.0),
        reading="Each point is a unit: at the lower right its gate is always open, at the upper left always shut, at "
        "the lower left it is in between, and on the diagonal it is a switch that is always one or the other.",
    )


def _time_scales(found: dict[str, list[LayerGates]]) -> Figure:
    lines = [
        Line(
            f"{layer.layer}, {name}",
            np.linspace(0, 1, len(layer.time_scale)),
            np.sort(layer.time_scale),
            colour=1 + depth,
            dashed=name != "trained",
        )
        for name, layers in found.items()
        for depth, layer in enumerate(layers)
    ]
    first = found["trained"][0]
    keeping = cell_named(first.cell).keeping or ""
    return line_chart(
        lines,
        title=f"Time scales, from the {_words(first, keeping)}",
        x="fraction of the layer's units",
        y="steps",
        log_y=True,
        reading="The units in the order of how long they remember: the height is the number of steps in which what a "
        "unit remembers falls to 1/e where nothing new is written.",
    )
