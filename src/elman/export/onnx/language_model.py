"""Language models as graphs: tokens and the state before -> logits and the state after."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import cast

from elman.cells import CELLS
from elman.export.onnx.drawing import Drawing
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.recurrent import read_layer
from elman.export.options import ExportOptions
from elman.models import RecurrentLM
from elman.nn import Recurrent
from elman.tasks.task import Trained


def draw_recurrent(run: Trained, options: ExportOptions) -> Drawing:
    """A `RecurrentLM`."""
    model: RecurrentLM = run.model
    graph = Graph("model", model)
    tokens = graph.input("tokens", "int64", ["batch", "time"])
    lengths = graph.input("lengths", "int64", ["batch"]) if options.lengths else None
    cell, layers = CELLS[model.cell], cast(Sequence[Recurrent], model.layers)
    sizes = [size for layer in layers for size in cell.sizes(layer.output_size, layer.output_size)]
    state = iter([graph.state(["batch", size]) for size in sizes])
    x = graph.add("Gather", graph.weight(model.embedding.weight), graph.add("Transpose", tokens, perm=[1, 0]))
    after: list[Value] = []
    for layer in layers:
        y, final = read_layer(graph, layer, x, [*islice(state, len(cell.states))], lengths)
        x = x + y if model.residual and layer.input_size == layer.hidden_size else y
        after += final
    hidden = graph.add("Transpose", x, perm=[1, 0, 2])  # (B, T, H)
    graph.output("logits", hidden.linear(model.decoder.weight, model.decoder.bias), ["batch", "time", model.vocab_size])
    for value, size in zip(after, sizes, strict=True):
        graph.next_state(value, ["batch", size])
    return Drawing({"model": graph}, causal=True)
