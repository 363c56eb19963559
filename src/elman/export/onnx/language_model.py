"""Language models as graphs: tokens and the state before -> logits and the state after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.cells import CELLS
from elman.export.onnx.drawing import Call, Compared, Drawing
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.recurrent import read_layer
from elman.export.options import ExportOptions
from elman.models import LanguageModel, RecurrentLM
from elman.nn import Recurrent
from elman.state import leaves
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
    return Drawing({"model": graph}, causal=True, trial=partial(trial, model))


SIZES = ((1, 1), (3, 7), (8, 32))  # rows and steps of a piece
PIECES = 4  # the first is read by the run's model alone, so that the graph begins with a state that is not fresh


def trial(model: LanguageModel, observed: Any, call: Call) -> Iterator[Compared]:
    """Windows of the validation text, or random tokens, in pieces with the state passed on."""
    for rows, steps in SIZES:
        if observed is None:
            tokens = torch.randint(model.vocab_size, (rows, PIECES * steps + 1), generator=torch.Generator())
        else:
            tokens = observed.windows(rows, PIECES * steps + 1)
        rows, steps = len(tokens), (tokens.shape[1] - 1) // PIECES  # of a short text there are less
        with torch.no_grad():
            _, state = model(tokens[:, :steps])
        feeds = {f"state_{n}": leaf.numpy() for n, leaf in enumerate(leaves(state))}
        for begin in range(steps, PIECES * steps, steps):
            piece, targets = tokens[:, begin : begin + steps], tokens[:, begin + 1 : begin + steps + 1]
            with torch.no_grad():
                logits, state = model(piece, state)
            after = [leaf.numpy() for leaf in leaves(state)]
            found = call("model", {"tokens": piece.numpy(), **feeds})
            theirs = [found[f"next_state_{n}"] for n in range(len(after))]
            feeds = {f"state_{n}": array for n, array in enumerate(theirs)}
            losses = _nats(logits, targets), _nats(torch.from_numpy(found["logits"]), targets), targets.numel()
            loss = None if observed is None else losses
            yield Compared([logits.numpy(), *after], [found["logits"], *theirs], loss)


def _nats(logits: Tensor, targets: Tensor) -> float:
    return float(F.cross_entropy(logits.flatten(0, 1).double(), targets.flatten(), reduction="sum"))
