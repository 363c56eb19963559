"""The graph of a classifier."""

from __future__ import annotations

from typing import Any

import torch

from elman.export.onnx import states
from elman.export.onnx.encoder import encode
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.pooling import pool
from elman.export.onnx.scaling import standardised, with_flags, without_missing
from elman.export.onnx.steps import total
from elman.models.classifier import Classifier
from elman.nn.ngram_embedding import NgramEmbedding
from elman.tasks.task import Trained


def draw(run: Trained, *, lengths: bool) -> dict[str, Graph]:
    """One graph: tokens, n-grams or raw values, and the state where the model is causal, to logits (B, K)."""
    model: Classifier = run.model
    graph = Graph("classifier", model)
    x = _inputs(graph, model, run)
    ends = graph.input("lengths", "int64", ["batch"]) if lengths else None
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
    return {"model": graph}


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
    raw = graph.input("values", "float32", ["batch", "time", model.channels])
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
