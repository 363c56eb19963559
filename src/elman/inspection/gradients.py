"""Gradient flow through time and the step Jacobian, before and after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from elman.inspection.look import Part
from elman.inspection.subject import Subject
from elman.inspection.untrained import KEYS, model_line
from elman.inspection.windows import window_marks
from elman.lens.decay import HORIZON, WORDS
from elman.lens.gradient_flow import Flow, gradient_flow
from elman.lens.jacobian import StepJacobian, step_jacobian
from elman.lens.jacobian_product import JacobianProduct, jacobian_product
from elman.lens.observe import has_vectors_for_memory
from elman.models import LanguageModel
from elman.report import Chapter, Figure, Mark, line_chart
from elman.report.figure import number
from elman.state import State, batch_size, leaves, select_rows

T = TypeVar("T")

ROWS, BURN_IN, LAGS = 32, 64, 200
JACOBIANS = 4  # steps whose Jacobian is computed
LARGE = 1000  # numbers in a layer's memory from which on one step is enough, and the product of the last layer
PRODUCT_STEPS, FEWEST, WORK = 64, 4, 1 << 31  # the most and the fewest steps of a product, and numbers times M³

TEXT = (
    "How much of the loss at one step reaches back to the inputs and memories of k steps before: where the gradient "
    "falls to nothing, nothing further back can be learnt. "
    f"{WORDS} "
)
IDENTITY = " (every layer begins by passing on what it is given: the last matrix of each of its branches is zero)"


def look(subject: Subject) -> Part:
    """Both models on the same windows of the text."""
    windows = subject.windows(subject.rows(ROWS), BURN_IN + LAGS + 1)
    past = (windows.shape[1] - 1) * BURN_IN // (BURN_IN + LAGS)
    before, inputs = windows[:, :past], windows[:, past:-1]
    resets = subject.resets(inputs)
    flows: dict[str, list[Flow]] = {}
    jacobians: dict[str, list[StepJacobian]] = {}
    products: dict[str, list[JacobianProduct]] = {}
    for name, model in subject.models.items():
        with torch.no_grad():
            _, state = model.read(before, resets=subject.resets(before))
        found = gradient_flow(model, inputs, windows[:, -1], state, resets=resets)
        flows[name] = [found.input, *found.memory]
        jacobians[name], products[name] = [], []
        if has_vectors_for_memory(model):
            jacobians[name] = _jacobians(model, inputs[:, 0], state, resets)
            products[name] = _products(model, inputs[0], state, None if resets is None else resets[0], jacobians[name])
    window, layers = getattr(subject.model, "window", None), subject.model.config.get("num_layers", 1)
    bounds = window_marks(window, layers, inputs.shape[1] - 1)
    figures = [_flow_figure(each, *bounds) for each in _by_model(flows)]
    figures += [_jacobian_figure(each) for each in _by_model(jacobians)]
    figures += [_product_figure(each) for each in _by_model(products)]
    lines = [_decay_words(each) for each in _by_model(flows)] + [_radius_words(each) for each in _by_model(jacobians)]
    lines += [_product_words(each) for each in _by_model(products)]
    if not has_vectors_for_memory(subject.fresh) and flows[subject.fresh_name][0].decay.verdict == "none":
        lines[0] += IDENTITY
    text = f"{TEXT}These are {len(windows)} windows of the text, each read from {past} tokens of past."
    if resets is not None:
        text += " Documents begin inside of them, and no gradient flows across such a border."
    numbers = {
        key: {
            "gradients": {flow.name: _flow_numbers(flow) for flow in flows[name]},
            "jacobians": [
                {"layer": one.layer + 1, "singular_values": one.singular_values, "spectral_radius": one.spectral_radius}
                for one in jacobians[name]
            ],
            "jacobian_products": [
                {"layer": one.layer + 1, "steps": one.steps}
                | {"largest": one.largest, "median": one.median, "smallest": one.smallest}
                for one in products[name]
            ],
        }
        for key, name in zip(KEYS, flows, strict=True)
    }
    return Part(Chapter("Gradient flow through time", text, figures, lines), numbers, lines, reach(flows[KEYS[0]][0]))


def _by_model(found: Mapping[str, Sequence[T]]) -> list[dict[str, T]]:
    """Each flow or layer, as a dictionary of the models."""
    return [dict(zip(found, each, strict=True)) for each in zip(*found.values(), strict=True)]


def _jacobians(model: LanguageModel, tokens: Tensor, state: State, resets: Tensor | None) -> list[StepJacobian]:
    """Those of every layer, at the first of the steps."""
    assert not isinstance(state, Tensor)
    found = []
    for layer, memory in enumerate(state):
        size = sum(leaf.shape[1] for leaf in leaves(memory))
        count = min(batch_size(state), JACOBIANS if size < LARGE else 1)
        rows = torch.linspace(0, len(tokens) - 1, count).long()
        begins = None if resets is None else resets[rows, 0]
        found.append(step_jacobian(model, tokens[rows], select_rows(state, rows), layer, resets=begins))
    return found


def _products(
    model: LanguageModel, tokens: Tensor, state: State, resets: Tensor | None, jacobians: Sequence[StepJacobian]
) -> list[JacobianProduct]:
    """Those of every layer along the first of the windows; of large layers the last one's, over a few steps.

    The first of `jacobians` of each layer is that of the first window too.
    """
    row, found = select_rows(state, torch.zeros(1, dtype=torch.int64)), []
    for layer, memory in enumerate(row):
        size = sum(leaf.shape[1] for leaf in leaves(memory))
        if size >= LARGE and layer < len(row) - 1:
            continue
        steps = min(PRODUCT_STEPS, max(FEWEST, WORK // size**3), len(tokens))
        given = None if resets is None else resets[:steps]
        found.append(jacobian_product(model, tokens[:steps], row, layer, resets=given, first=jacobians[layer]))
    return found


def reach(flow: Flow) -> str:
    """How far back a token still changes the prediction of the next token, in a sentence, by the gradient of the input.

    The sentence is empty where the gradient by the last token is zero or no number: a share of it says nothing.
    """
    median = flow.quantile(0.5)
    if not (np.isfinite(median).all() and median[0] > 0):
        return ""
    left = flow.decay.left  # at rising lags
    near = max((lag for lag, share in left.items() if share >= HORIZON), default=min(left))
    far = min((lag for lag in left if lag > near), default=None)
    changes = "still changes" if left[near] >= HORIZON else "hardly changes" if left[near] else "does not change"
    rest = "" if far is None else f"; {far} steps ago, the gradient is {_percent(left[far])}"
    return (
        f"The token read {near} step{'s' * (near > 1)} ago {changes} the prediction of the next token: the gradient by "
        f"it is {_percent(left[near])} of that by the last token{rest} (medians over {flow.norms.shape[1]} windows of "
        "the text)."
    )


def _percent(share: float) -> str:
    return f"{number(float(f'{100 * share:.2g}'))} %"


def _flow_figure(flows: dict[str, Flow], marks: Sequence[Mark], about: str) -> Figure:
    trained = flows[KEYS[0]]
    symbol = "x" if trained.name == "input" else trained.name.split()[-1]
    horizon = trained.decay.horizon
    seen = {name: flow for name, flow in flows.items() if flow.decay.verdict != "none"} or flows
    return line_chart(
        [
            model_line(name, flow.lags, (flow.quantile(0.1), flow.quantile(0.5), flow.quantile(0.9)))
            for name, flow in seen.items()
        ],
        title="Gradient by the input" if symbol == "x" else f"Gradient by the memory: {trained.name}",
        x="lag k, steps back",
        y=f"‖∂L(T)/∂{symbol}(T−k)‖",
        log_y=True,
        marks=[*([] if horizon is None else [Mark(float(horizon), f"trained: 1 % at lag {horizon}")]), *marks],
        reading="Each line is the median over the windows and its band holds the middle 80 %: the faster it falls, the "
        f"shorter the memory that can be learnt; a straight line is a geometric decay.{about}",
    )


def _jacobian_figure(layers: dict[str, StepJacobian]) -> Figure:
    lines = []
    for name, layer in layers.items():
        values = np.maximum(layer.singular_values, 1e-6)  # (K, M)
        kept = np.unique(np.linspace(0, values.shape[1] - 1, 160).astype(int))
        values = values[:, kept]
        lines.append(model_line(name, kept + 1, (values.min(0), np.median(values, 0), values.max(0))))
    return line_chart(
        lines,
        title=f"Step Jacobian of layer {layers[KEYS[0]].layer + 1}: singular values",
        x="rank, largest first",
        y="singular value",
        log_y=True,
        reading="How one step stretches small changes of the memory: directions above 1 are amplified, those near 1 "
        "are kept, and those far below are forgotten; the band spans the steps that were looked at.",
    )


def _product_figure(layers: dict[str, JacobianProduct]) -> Figure:
    lines = []
    for name, one in layers.items():
        least = np.maximum(one.resolution, np.finfo(np.float32).tiny)  # what is smaller is rounding
        ends = [np.maximum(one.singular_values[:, place], least) for place in (-1, 0)]
        middle = np.maximum(np.median(one.singular_values, axis=1), least)
        lines.append(model_line(name, one.steps, (ends[0], middle, ends[1])))
    return line_chart(
        lines,
        title=f"Product of Jacobians of layer {layers[KEYS[0]].layer + 1}: singular values",
        x="steps in the product",
        y="singular value",
        log_y=True,
        reading="How many steps in a row stretch small changes of the memory: the line is the median of the singular "
        "values, and the band reaches from the smallest to the largest, but no lower than rounding. A straight line "
        "down is a gradient that vanishes, one that rises a gradient that explodes, and 1 is a change that is kept.",
    )


def _product_words(layers: dict[str, JacobianProduct]) -> str:
    words = []
    for name, one in layers.items():
        k, largest = int(one.steps[-1]), float(one.largest[-1])
        pace = f"by an even factor of {number(largest ** (1 / k))} a step" if largest > 0 else "to nothing"
        middle = one.median[-1]
        median = f"the median is {number(float(middle))}" if np.isfinite(middle) else "the median is below rounding"
        words.append(f"{name} {number(largest)}, {pace}, and {median}")
    k = int(layers[KEYS[0]].steps[-1])
    return (
        f"product of {k} Jacobians of layer {layers[KEYS[0]].layer + 1}, largest singular value: {'; '.join(words)} "
        "(a factor of 1 neither vanishes nor explodes)"
    )


def _decay_words(flows: dict[str, Flow]) -> str:
    words = "; ".join(f"{model} {flow.decay.words}" for model, flow in flows.items())
    return f"gradient by {flows[KEYS[0]].name}: {words}"


def _radius_words(layers: dict[str, StepJacobian]) -> str:
    words = []
    for name, layer in layers.items():
        radius, largest = np.median(layer.spectral_radius), np.median(layer.singular_values[:, 0])
        radius_words = f"spectral radius {number(float(radius))}"
        words.append(f"{name} {radius_words}, largest singular value {number(float(largest))}")
    return f"step Jacobian of layer {layers[KEYS[0]].layer + 1}: {'; '.join(words)}"


def _flow_numbers(flow: Flow) -> dict[str, Any]:
    quantiles = {str(q): flow.quantile(q) for q in (0.1, 0.25, 0.5, 0.75, 0.9)}
    return {"lags": flow.lags, "quantiles": quantiles, **flow.decay.numbers}
