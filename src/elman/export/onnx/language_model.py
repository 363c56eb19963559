"""Language models as graphs: tokens and the state before -> logits and the state after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, cast

import torch
from torch.nn import functional as F

from elman.cells import CELLS
from elman.export.onnx import states
from elman.export.onnx.attention import normed, read_layers
from elman.export.onnx.drawing import Call, Compared, Drawing
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.layered import draw_scores
from elman.export.onnx.positions import rotary, sinusoidal, step_positions
from elman.export.onnx.recurrent import read_layer
from elman.export.onnx.sight import SlotMemory, causal
from elman.export.onnx.trials import PIECES, generator, lengths_of, named
from elman.export.options import ExportOptions
from elman.kernels.attention.sight import padding_mask
from elman.models import LanguageModel, RecurrentLM, TransformerLM
from elman.models.layered_language_model import LayeredLanguageModel
from elman.nn import Recurrent
from elman.state import leaves
from elman.tasks.exchange import Trained


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
    return Drawing({"model": graph}, causal=True, trial=partial(trial, model, options.lengths))


def draw_transformer(run: Trained, options: ExportOptions) -> Drawing:
    """A `TransformerLM`, each of whose rows has its own position."""
    model: TransformerLM = run.model
    graph = Graph("model", model)
    tokens = graph.input("tokens", "int64", ["batch", "time"])
    lengths = graph.input("lengths", "int64", ["batch"]) if options.lengths else None
    fresh = model.initial_state(1)
    *memory, position = states.read(graph, fresh)
    keys, values = memory[: model.num_layers], memory[model.num_layers :]
    x = graph.add("Gather", graph.weight(model.embedding.weight), tokens)
    T = graph.size(tokens, 1)
    places = step_positions(graph, x, position)  # (B, T)
    rotation = None
    if model.positions == "sinusoidal":
        x = x + sinusoidal(places, model.hidden_size)
    else:
        rotation = rotary(places, model.hidden_size // model.num_heads)
    sight = causal(graph, x, model.window, SlotMemory(graph.size(keys[0], 2), position), lengths)
    read = read_layers(model.layers, x, sight, keys=keys, values=values, rotation=rotation)
    logits = normed(read.x, model.norm).linear(model.decoder.weight, model.decoder.bias)
    graph.output("logits", logits, ["batch", "time", model.vocab_size])
    after = position + (T if lengths is None else lengths)
    states.write(graph, fresh, [*read.keys, *read.values, after])
    return Drawing({"model": graph}, causal=True, trial=partial(trial, model, options.lengths))


def draw_layered(run: Trained, options: ExportOptions) -> Drawing:
    """A `LayeredLanguageModel`; its graph gives logits, whatever the framework's own output is."""
    model: LayeredLanguageModel = run.model
    graph = Graph("model", model)
    tokens = graph.input("tokens", "int64", ["batch", "time"])
    draw_scores(graph, model, tokens, ["batch", "time", model.vocab_size], options, as_classes=False)
    return Drawing({"model": graph}, causal=True, trial=partial(trial, model, options.lengths))


SIZES = ((1, 1), (3, 7), (8, 32))  # rows and steps of a piece


@torch.no_grad()
def trial(model: LanguageModel, ragged: bool, observed: Any, call: Call) -> Iterator[Compared]:
    """Windows of the validation text, or random tokens, in pieces with the state passed on; `ragged` ones are padded.

    The first piece is read by the run's model alone, so that the graph begins with a state that is not fresh.
    """
    random = generator()
    for rows, steps in SIZES:
        shape = rows, PIECES * steps + 1
        tokens = observed.windows(*shape) if observed else torch.randint(model.vocab_size, shape, generator=random)
        rows, steps = len(tokens), (tokens.shape[1] - 1) // PIECES  # of a short text there are less
        _, state = model(tokens[:, :steps])
        feeds = named([leaf.numpy() for leaf in leaves(state)])
        for begin in range(steps, PIECES * steps, steps):
            piece, targets = tokens[:, begin : begin + steps], tokens[:, begin + 1 : begin + steps + 1]
            lengths = torch.randint(steps + 1, (rows,), generator=random) if ragged else None
            hidden, state = model.read(piece, state, lengths=lengths)
            logits = model.output(hidden)
            found = call("model", {"tokens": piece.numpy(), **lengths_of(lengths), **feeds})
            ours = [leaf.numpy() for leaf in leaves(state)]
            theirs = [found[f"next_state_{n}"] for n in range(len(ours))]
            feeds = named(theirs)
            real = torch.ones(piece.shape).bool() if lengths is None else padding_mask(lengths, steps)
            shown = logits[real], torch.from_numpy(found["logits"])[real]
            nats = [float(F.cross_entropy(each.double(), targets[real], reduction="sum")) for each in shown]
            loss = (nats[0], nats[1], int(real.sum())) if observed else None
            yield Compared([shown[0].numpy(), *ours], [shown[1].numpy(), *theirs], loss)
