"""Gradient flow through time and the step Jacobian, before and after training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.inspection.look import Part
from elman.inspection.subject import Subject
from elman.inspection.untrained import KEYS
from elman.inspection.windows import window_marks
from elman.lens.decay import WORDS
from elman.lens.gradient_flow import Flow, GradientFlow, gradient_flow
from elman.lens.jacobian import StepJacobian, step_jacobian
from elman.lens.observe import has_vectors_for_memory
from elman.models import LanguageModel
from elman.report import Chapter, Figure, Line, Mark, line_chart
from elman.report.figure import number
from elman.state import State, batch_size, leaves, select_rows

ROWS, BURN_IN, LAGS = 32, 64, 200
JACOBIANS = 4  # steps whose Jacobian is computed
LARGE = 1000  # numbers in a layer's memory from which on fewer are

TEXT = (
    "How much of the loss at one step reaches back to what was read and remembered k steps before. Where it falls to "
    f"nothing, nothing further back can be learnt; where it grows, a single step can undo many. {WORDS} "
)


def look(subject: Subject) -> Part:
    """Both models on the same windows of the text."""
    windows = subject.windows(ROWS, BURN_IN + LAGS + 1)
    past = (windows.shape[1] - 1) * BURN_IN // (BURN_IN + LAGS)
    before, inputs = windows[:, :past], windows[:, past:-1]
    resets = subject.resets(inputs)
    flows: dict[str, GradientFlow] = {}
    jacobians: dict[str, list[StepJacobian]] = {}
    for name, model in subject.models.items():
        with torch.no_grad():
            _, state = model.read(before, resets=subject.resets(before))
        flows[name] = gradient_flow(model, inputs, windows[:, -1], state, resets=resets)
        jacobians[name] = _jacobians(model, inputs[:, 0], state, resets) if has_vectors_for_memory(model) else []
    steps, layers = getattr(subject.model, "window", None), subject.model.config["num_layers"]
    marks = window_marks(steps, layers, inputs.shape[1] - 1)
    figures = [_flow_figure({name: flow.input for name, flow in flows.items()}, *marks)]
    for parts in _side_by_side(flows):
        figures.append(_flow_figure(dict(zip(flows, parts, strict=True))))
    figures += [
        _jacobian_figure(dict(zip(jacobians, pair, strict=True))) for pair in zip(*jacobians.values(), strict=True)
    ]
    lines = [_decay_words({name: flow.input for name, flow in flows.items()})]
    lines += [_decay_words(dict(zip(flows, parts, strict=True))) for parts in _side_by_side(flows)]
    lines += [_radius_words(dict(zip(flows, pair, strict=True))) for pair in zip(*jacobians.values(), strict=True)]
    about = f"{len(windows)} windows of the text, each read from {past} tokens of past."
    if resets is not None:
        about += " Documents begin inside of them, and no gradient flows across such a border."
    numbers = {
        key: {
            "gradients": {part.name: _flow_numbers(part) for part in (flow.input, *flow.memory)},
            "jacobians": [_jacobian_numbers(layer) for layer in jacobians[name]],
        }
        for key, (name, flow) in zip(KEYS, flows.items(), strict=True)
    }
    return Part(Chapter("Gradient flow through time", TEXT + about, figures, lines), numbers, lines)


def _jacobians(model: LanguageModel, tokens: Tensor, state: State, resets: Tensor | None) -> list[StepJacobian]:
    """Of every layer, at the first of the steps."""
    assert not isinstance(state, Tensor)
    found = []
    for layer, memory in enumerate(state):
        size = sum(leaf.shape[1] for leaf in leaves(memory))
        count = min(batch_size(state), JACOBIANS if size < LARGE else 1)
        rows = torch.linspace(0, len(tokens) - 1, count).long()
        begins = None if resets is None else resets[rows, 0]
        found.append(step_jacobian(model, tokens[rows], select_rows(state, rows), layer, resets=begins))
    return found


def _flow_figure(flows: dict[str, Flow], marks: Sequence[Mark] = (), about: str = "") -> Figure:
    name = next(iter(flows.values())).name
    symbol = "x" if name == "input" else name.split()[-1]
    title = "Gradient by the input" if name == "input" else f"Gradient by the memory: {name}"
    lines = [
        Line(
            model,
            flow.lags,
            flow.quantile(0.5),
            flow.quantile(0.1),
            flow.quantile(0.9),
            colour=1 if model == "trained" else 2,
            dashed=model != "trained",
        )
        for model, flow in flows.items()
    ]
    horizon = flows["trained"].decay.horizon
    return line_chart(
        lines,
        title=title,
        x="lag k, steps back",
        y=f"‖∂L(T)/∂{symbol}(T−k)‖",
        log_y=True,
        marks=[*([] if horizon is None else [Mark(float(horizon), f"trained: 1 % at lag {horizon}")]), *marks],
        reading="Each line is the median over the windows and its band holds the middle 80 %: the faster it falls, the "
        f"shorter the memory that can be learnt; a straight line is a geometric decay.{about}",
    )


def _jacobian_figure(layers: dict[str, StepJacobian]) -> Figure:
    lines = []
    for model, layer in layers.items():
        values = layer.singular_values  # (K, M)
        ranks = np.arange(1, values.shape[1] + 1)
        quantiles = (np.median(values, 0), values.min(0), values.max(0))
        kept = np.unique(np.linspace(0, len(ranks) - 1, 160).astype(int))
        median, low, high = (np.maximum(part, 1e-6)[kept] for part in quantiles)
        trained = model == "trained"
        lines.append(Line(model, ranks[kept], median, low, high, colour=1 if trained else 2, dashed=not trained))
    layer = layers["trained"]
    return line_chart(
        lines,
        title=f"Step Jacobian of layer {layer.layer + 1}: singular values",
        x="rank, largest first",
        y="singular value",
        log_y=True,
        reading="What one step does to small changes of the memory: directions above 1 are amplified, those near 1 are "
        "kept, and those far below are forgotten; the band spans the steps that were looked at.",
    )


def _side_by_side(flows: dict[str, GradientFlow]) -> Iterator[tuple[Flow, ...]]:
    """Each part of the memory, of all models."""
    return zip(*(flow.memory for flow in flows.values()), strict=True)


def _decay_words(flows: dict[str, Flow]) -> str:
    name = next(iter(flows.values())).name
    return f"gradient by {name}: " + "; ".join(f"{model} {flow.decay.words}" for model, flow in flows.items())


def _radius_words(layers: dict[str, StepJacobian]) -> str:
    def words(layer: StepJacobian) -> str:
        radius, largest = np.median(layer.spectral_radius), np.median(layer.singular_values[:, 0])
        return f"spectral radius {number(float(radius))}, largest singular value {number(float(largest))}"

    place = next(iter(layers.values())).layer + 1
    return f"step Jacobian of layer {place}: " + "; ".join(f"{name} {words(layer)}" for name, layer in layers.items())


def _flow_numbers(flow: Flow) -> dict[str, Any]:
    decay = flow.decay
    return {
        "lags": flow.lags,
        "quantiles": {str(q): flow.quantile(q) for q in (0.1, 0.25, 0.5, 0.75, 0.9)},
        **decay.numbers,
    }


def _jacobian_numbers(layer: StepJacobian) -> dict[str, Any]:
    return {
        "layer": layer.layer + 1,
        "singular_values": layer.singular_values,
        "spectral_radius": layer.spectral_radius,
    }
