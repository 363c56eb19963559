"""The graph of a classifier."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Numbers
from elman.data.ngrams import MOST
from elman.export.onnx import states, trials
from elman.export.onnx.drawing import Call, Compared, Drawing
from elman.export.onnx.encoder import encode
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.layered import draw_scores
from elman.export.onnx.pooling import pool
from elman.export.onnx.scaling import standardised, with_flags, without_missing
from elman.export.onnx.steps import total
from elman.export.options import ExportOptions
from elman.models.classifier import Classifier
from elman.models.layered_classifier import LayeredClassifier
from elman.nn.ngram_embedding import NgramEmbedding
from elman.state import leaves
from elman.tasks.exchange import Trained


def draw(run: Trained, options: ExportOptions) -> Drawing:
    """Tokens, n-grams or raw values, and the state where the model is causal, to logits (B, K)."""
    model: Classifier = run.model
    graph = Graph("model", model)
    x = _inputs(graph, model, run)
    ends = graph.input("lengths", "int64", ["batch"]) if options.lengths else None
    if model.causal:
        fresh = model.initial_state(1)
        *before, value, weight, top = states.read(graph, fresh)
    else:
        H = model.encoder.output_size
        before, (value, weight, top) = [], [graph.zeros(graph.size(x, 0), size) for size in (H, 1, 1)]
    hidden, after = encode(graph, model.encoder, x, before, ends)
    pooled, kept = pool(graph, model.pool, hidden, (value, weight, top), ends)
    graph.output("logits", pooled.linear(model.output.weight, model.output.bias), ["batch", model.outputs])
    if model.causal:
        states.write(graph, fresh, [*after, *kept])
    run_trial = partial(trial, run, options.lengths)
    return Drawing({"model": graph}, model.causal, answer(run), trial=run_trial)


def draw_layered(run: Trained, options: ExportOptions) -> Drawing:
    """An imported model."""
    model: LayeredClassifier = run.model
    graph = Graph("model", model)
    if model.vocab_size is not None:
        x = graph.input("tokens", "int64", ["batch", "time"])
    else:
        raw = graph.input("values", "float32", ["batch", "time", run.scaler.channels])
        x = without_missing(raw, standardised(raw, run.scaler.mean, run.scaler.deviation))[0]
    draw_scores(graph, model, x, ["batch", model.outputs], options, as_classes=model.outputs == 2)
    return Drawing({"model": graph}, model.causal, answer(run), trial=partial(trial, run, options.lengths))


def _inputs(graph: Graph, model: Classifier, run: Trained) -> Value:
    """What the encoder reads (B, T, E)."""
    embedding: Any = model.embedding
    if isinstance(embedding, NgramEmbedding):
        numbers = graph.input("tokens", "int64", ["batch", "time", "ngrams"])
        table = embedding.weight.detach().clone()
        table[0] = 0  # is no n-gram
        found = total(graph.cast(numbers > 0, "float32"), 2, keep=True).maximum(1.0)
        return total(graph.add("Gather", graph.weight(table), numbers, dtype="float32"), 2) / found.sqrt()
    if model.vocab_size is not None:
        tokens = graph.input("tokens", "int64", ["batch", "time"])
        return graph.add("Gather", graph.weight(embedding.weight), tokens, dtype="float32")
    raw = graph.input("values", "float32", ["batch", "time", run.scaler.channels])
    scaled = standardised(raw, run.scaler.mean, run.scaler.deviation)
    read = with_flags(raw, scaled) if model.missing else without_missing(raw, scaled)[0]
    return read.linear(embedding.weight, embedding.bias)


def answer(run: Trained) -> dict[str, Any]:
    """What a label needs beside the logits."""
    model, labels, settings = run.model, run.labels, run.settings
    return {
        "kind": labels.kind,
        "labels": list(labels.names),
        "temperature": float(model.temperature),
        "thresholds": model.thresholds.tolist(),
        "mean": labels.mean,
        "deviation": labels.deviation,
        "max_length": None if settings is None else settings.data.max_length,
        "start": getattr(run.codecs.get("tokenizer"), "start", None),
    }


def trial(run: Trained, ragged: bool, observed: Any, call: Call) -> Iterator[Compared]:
    """Validation examples, or random inputs: some whole with their loss, and several together, in pieces."""
    model: Classifier = run.model
    if observed is not None:
        examples = observed.examples
        for row in range(min(len(examples), trials.WHOLE)):
            batch = observed.batch([row])
            ours, found = _read(run, call, batch.inputs, batch.lengths if ragged else None)
            sums = [_nats(model, logits, batch.targets) for logits in (ours, found)]
            yield Compared([ours], [found], None if np.isnan(sums[0]) else (sums[0], sums[1], 1))
    for rows in trials.groups(trials.WHOLE if observed is None else len(observed.examples)):
        inputs, lengths = _random(model, len(rows)) if observed is None else observed.batch(rows)[:2]
        ends, T = trials.shortest(lengths, ragged=ragged)
        ours, found = _read(run, call, inputs[:, :T], ends)
        yield Compared([ours], [found])
        if model.causal:
            yield from _pieces(run, call, inputs[:, : int(lengths.min())], ragged)


@torch.no_grad()
def _read(run: Trained, call: Call, inputs: Tensor, lengths: Tensor | None) -> tuple[Numbers, Numbers]:
    """The model's logits and the graph's of whole sequences."""
    feeds, read = _feeds(run, inputs)
    state = trials.named([leaf.numpy() for leaf in leaves(run.model.initial_state(len(inputs)))])
    found = call("model", {**feeds, **trials.lengths_of(lengths), **state})
    return run.model.scores(read, lengths=lengths)[0].numpy(), found["logits"]


def _pieces(run: Trained, call: Call, inputs: Tensor, ragged: bool) -> Iterator[Compared]:
    feeds, read = _feeds(run, inputs)

    def feed(piece: slice) -> dict[str, Numbers]:
        ends = torch.full((len(read),), piece.stop - piece.start) if ragged else None
        return {name: array[:, piece] for name, array in feeds.items()} | trials.lengths_of(ends)

    fresh = run.model.initial_state(len(read))
    yield from trials.in_pieces(
        call, "logits", lambda piece, state: run.model.scores(read[:, piece], state), feed, read.shape[1], fresh
    )


def _feeds(run: Trained, inputs: Tensor) -> tuple[dict[str, Numbers], Tensor]:
    """The graph's inputs, and the model's: values go through their own units, which round them to 32 bits."""
    if run.model.vocab_size is not None:
        return {"tokens": inputs.numpy()}, inputs
    mean, deviation = (np.array(part) for part in (run.scaler.mean, run.scaler.deviation))
    raw = (inputs.double().numpy() * deviation + mean).astype(np.float32)
    return {"values": raw}, torch.from_numpy(((raw - mean) / deviation).astype(np.float32))


def _random(model: Classifier, rows: int) -> tuple[Tensor, Tensor]:
    """Inputs (B, T, ·) and their lengths."""
    source, T = trials.generator(), trials.STEPS
    lengths = T - torch.arange(rows) % T
    if model.vocab_size is None:
        return torch.randn(rows, T, model.channels or 0, generator=source), lengths
    shape = (rows, T, MOST) if model.ngrams else (rows, T)
    return torch.randint(model.vocab_size, shape, generator=source), lengths


def _nats(model: Classifier, logits: Numbers, targets: Tensor) -> float:
    """The loss of one example."""
    return float(model.nats(torch.from_numpy(logits), targets)[0].detach())
