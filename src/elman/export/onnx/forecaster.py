"""The graph of a forecaster, which takes and gives numbers in the units of the data."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch.special import ndtri

from elman.export.onnx import states
from elman.export.onnx.distributions import PARAMETERS, DataUnits
from elman.export.onnx.drawing import Drawing
from elman.export.onnx.encoder import encode
from elman.export.onnx.forecaster_trial import trial
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.layered import read_node
from elman.export.onnx.steps import concat, last_step, part, repeated, reshape, unsqueeze
from elman.export.onnx.windows import WindowReader, columns, scales, static_scales
from elman.export.options import ExportOptions
from elman.models.forecaster import SeriesForecaster
from elman.models.layered_forecaster import LayeredForecaster
from elman.models.likelihoods import Quantiles, anchor
from elman.nn.window_normalisation import LEAST_DEVIATION
from elman.state import leaves
from elman.tasks.exchange import Trained


def draw(run: Trained, options: ExportOptions) -> Drawing:
    """Windows to forecasts; or, in the form likelihood, steps and the state to parameters of the next value."""
    graph = Graph("model", run.model)
    reader, steps = WindowReader(graph, run), run.model.form == "likelihood"
    (_steps if steps else _window)(graph, reader, options.lengths)
    return Drawing({"model": graph}, steps, answer(run), trial=partial(trial, run, options.lengths))


def draw_layered(run: Trained, options: ExportOptions) -> Drawing:
    """An imported model: windows to forecasts."""
    model: LayeredForecaster = run.model
    graph, network = Graph("model", model), model.network
    raw = graph.input("values", "float32", ["batch", "time", 1])
    series = _units(graph, "mean", "deviation")
    ends = graph.input("lengths", "int64", ["batch"]) if options.lengths else None
    steps, units = WindowReader(graph, run).window(raw, series, ends)
    fresh = leaves(network.initial_state(1)) if network.causal else []
    state = [graph.zeros(graph.size(raw, 0), leaf.shape[1]) for leaf in fresh]
    made, _ = read_node(graph, network, network.settings.output, part(steps, 0, 1), state, ends)
    mean = unsqueeze(last_step(made, ends) if network.config["per_step"] else made, 2)
    deviations = ndtri(torch.tensor(model.levels, dtype=torch.float64)).numpy().astype(np.float32)
    _give_quantiles(graph, model, mean, mean + graph.weight(deviations), units)
    return Drawing({"model": graph}, False, answer(run), trial=partial(trial, run, options.lengths))


def _units(graph: Graph, location: str, scale: str) -> DataUnits:
    """Two inputs (B,) as units; a scale of 0 stands for 1."""
    found = [unsqueeze(graph.input(name, "float32", ["batch"]), 1, 2) for name in (location, scale)]
    return DataUnits(found[0], (found[1] > 0.0).where(found[1], 1.0))


def _window(graph: Graph, reader: WindowReader, lengths: bool) -> None:
    model: SeriesForecaster = reader.model
    P, K, S = model.channels
    raw = graph.input("values", "float32", ["batch", "time", 1 + P + K])
    series = _units(graph, "mean", "deviation")
    ends = graph.input("lengths", "int64", ["batch"]) if lengths else None
    steps, units = reader.window(raw, series, ends)
    segments, n = reader.segments(steps, ends)
    ahead = static = None
    if K:
        future = graph.input("future_values", "float32", ["batch", model.horizon, K])
        ahead = reader.numbers(future, scales(reader.run, reader.columns.future))
    if S:
        static = reader.numbers(graph.input("static", "float32", ["batch", S]), static_scales(reader.run))
    read = _segments if model.form == "segment" else _direct
    numbers = read(graph, model, segments, n, ahead, static)  # (B, horizon, size)
    if not isinstance(model.output, Quantiles):
        _give_parameters(graph, model, numbers, units, model.horizon)
        return
    mean, quantiles = part(numbers, 0, 1), _quantiles(graph, model.output, part(numbers, 1, model.output.size))
    _give_quantiles(graph, model, mean, quantiles, units)


def _give_quantiles(graph: Graph, model: SeriesForecaster, mean: Value, quantiles: Value, units: DataUnits) -> None:
    """The mean (B, horizon, 1) with the quantiles (B, horizon, Q) that `widths` moved, and those as they are learnt."""
    Q = len(model.levels)
    moved = concat(graph, [mean, _widened(graph, model, quantiles)], 2)
    graph.output("forecast", units.restore(moved), ["batch", model.horizon, 1 + Q])
    graph.output("quantiles", units.restore(quantiles), ["batch", model.horizon, Q])


def _direct(
    graph: Graph, model: SeriesForecaster, x: Value, n: Value | None, ahead: Value | None, static: Value | None
) -> Value:
    """All numbers of the horizon from the last hidden state, and from what is known of the steps to come."""
    read = [last_step(encode(graph, model.encoder, x, None, n)[0], n)]
    read += [] if ahead is None else [reshape(ahead, 0, model.horizon * model.channels[1])]
    read += [] if static is None else [static]
    written = concat(graph, read, 1).linear(model.head.weight, model.head.bias)
    return reshape(written, 0, model.horizon, model.output.size)


def _segments(
    graph: Graph, model: SeriesForecaster, x: Value, n: Value | None, ahead: Value | None, static: Value | None
) -> Value:
    """Each segment to come from the state after the window and an embedding of its place."""
    _, K, _ = model.channels
    m, H = model.positions.weight.shape
    x = x.linear(model.embedding.weight, model.embedding.bias).relu()
    _, state = encode(graph, model.encoder, x, None, n)
    queries = graph.weight(model.positions.weight[None]) + graph.zeros(graph.size(x, 0), 1, 1)  # (B, m, H)
    known = list[Value]()
    if ahead is not None:
        behind = np.array([0, 0, 0, 0, m * model.segment - model.horizon, 0])
        known.append(reshape(graph.add("Pad", ahead, behind), 0, m, model.segment * K))
    if static is not None:
        known.append(unsqueeze(static, 1) + graph.zeros(1, m, 1))
    if model.known is not None:
        queries = queries + concat(graph, known, 2).linear(model.known.weight)
    if model.identity is not None:
        given = graph.input("identity", "int64", ["batch"])
        place = (given <= model.series).where(given, 0)
        found = graph.add("Gather", graph.weight(model.identity.weight), place, dtype="float32")
        queries = queries + unsqueeze(found, 1)
    rows = [repeated(leaf, m) for leaf in state]
    hidden, _ = encode(graph, model.encoder, reshape(queries, -1, 1, H), rows)
    written = hidden.linear(model.head.weight, model.head.bias)
    whole = reshape(written, graph.size(x, 0), m * model.segment, model.output.size)
    return part(whole, 0, model.horizon, 1)


def _quantiles(graph: Graph, output: Quantiles, numbers: Value) -> Value:
    """Quantiles (B, H, Q) that rise, from the middle on by steps that are positive; see `likelihoods.Quantiles`."""
    Q, middle = len(output.levels), output.anchor
    centre = part(numbers, middle, middle + 1)
    found = [centre]
    if middle:
        sums = np.tril(np.ones((middle, middle), np.float32))
        found = [centre - part(numbers, 0, middle).softplus() @ graph.weight(sums), *found]
    if above := Q - middle - 1:
        sums = np.triu(np.ones((above, above), np.float32))
        found = [*found, centre + part(numbers, middle + 1, Q).softplus() @ graph.weight(sums)]
    return concat(graph, found, 2)


def _widened(graph: Graph, model: SeriesForecaster, quantiles: Value) -> Value:
    """The quantiles moved by the model's `widths`, none past another; see `conformal.widened`."""
    Q, middle = len(model.levels), anchor(model.levels)
    centre = part(quantiles, middle, middle + 1)
    moved = centre + graph.weight(model.widths) * (quantiles - centre)
    kept = [part(moved, at, at + 1) for at in range(Q)]
    for at in range(middle - 1, -1, -1):
        kept[at] = kept[at].minimum(kept[at + 1])
    for at in range(middle + 1, Q):
        kept[at] = kept[at].maximum(kept[at - 1])
    return concat(graph, kept, 2)


def _steps(graph: Graph, reader: WindowReader, lengths: bool) -> None:
    """The form likelihood: the distribution of each next value, and the state."""
    model: SeriesForecaster = reader.model
    P, K, S = model.channels
    raw = graph.input("values", "float32", ["batch", "time", 1 + P + K + S])
    units = _units(graph, "location", "scale")
    ends = graph.input("lengths", "int64", ["batch"]) if lengths else None
    read = [reader.value(part(raw, 0, 1), units)]
    if names := reader.columns.past + reader.columns.future:
        read.append(reader.numbers(part(raw, 1, 1 + P + K), scales(reader.run, names)))
    if S:
        read.append(reader.numbers(part(raw, 1 + P + K, 1 + P + K + S), static_scales(reader.run)))
    fresh = model.encoder.initial_state(1)
    hidden, after = encode(graph, model.encoder, concat(graph, read, 2), states.read(graph, fresh), ends)
    numbers = hidden.linear(model.head.weight, model.head.bias)
    _give_parameters(graph, model, numbers, units, "time")
    states.write(graph, fresh, after)


def _give_parameters(graph: Graph, model: SeriesForecaster, numbers: Value, units: DataUnits, steps: int | str) -> None:
    """The parameters (B, T, n) of the distribution that is learnt, in the units of the data."""
    made = concat(graph, PARAMETERS[model.settings.learnt](units, *numbers.chunk(model.output.size, -1)), 2)
    graph.output("parameters", made, ["batch", steps, model.output.size])


def answer(run: Trained) -> dict[str, Any]:
    """What forecasts need beside the graph's numbers."""
    model: SeriesForecaster = run.model
    own = columns(run)
    return {
        "form": model.form,
        "past_steps": model.past_steps,
        "horizon": model.horizon,
        "levels": list(model.levels),
        "middle": anchor(model.levels),
        "widths": model.widths.tolist(),
        "normalisation": model.normalisation,
        "least_deviation": LEAST_DEVIATION,
        "distribution": "quantiles" if isinstance(model.output, Quantiles) else model.settings.learnt,
        "samples": model.samples,
        "columns": {
            "past": own.past,
            "future": own.future,
            "static": [{"name": name, "words": words} for name, words in own.static],
        },
        "identities": model.identities,
    }
