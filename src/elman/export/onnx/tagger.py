"""The graph of a tagger, which gives the scores of tags; a search with a CRF stays outside."""

from __future__ import annotations

from typing import Any, cast

from elman.data.vocabulary import UNKNOWN
from elman.data.word_batches import MOST_CHARACTERS
from elman.export.onnx import recurrent, states
from elman.export.onnx.encoder import encode
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.steps import concat, reshape, total, transpose
from elman.models.tagger import Tagger
from elman.models.word_reader import PADDING, WordReader
from elman.tasks.task import Trained


def draw(run: Trained, *, lengths: bool) -> dict[str, Graph]:
    """One graph: words, their characters, and the state where the encoder is causal, to scores (B, T, K)."""
    model: Tagger = run.model
    graph = Graph("tagger", model)
    x = _words(graph, model.reader)
    ends = graph.input("lengths", "int64", ["batch"]) if lengths else None
    fresh = model.initial_state(1)
    hidden, after = encode(graph, model.encoder, x, states.read(graph, fresh), ends)
    scores = hidden.linear(model.output_layer.weight, model.output_layer.bias)
    graph.output("logits", scores, ["batch", "time", len(model.tags)])
    states.write(graph, fresh, after)
    return {"model": graph}


def _words(graph: Graph, reader: WordReader) -> Value:
    """The vectors (B, T, D) of words, and of the characters (B, T, C) that each is spelled with."""
    tokens = graph.input("tokens", "int64", ["batch", "time"])
    x = graph.add("Gather", graph.weight(reader.words.weight), tokens, dtype="float32")
    if not reader.character_size:
        return x
    given = graph.input("characters", "int64", ["batch", "time", "characters"])
    spelled = reshape(given, -1, graph.size(given, 2))  # (B · T, C)
    real = graph.add("Not", spelled == PADDING)
    letters = graph.add("Gather", graph.weight(reader.characters.weight), transpose(spelled, 1, 0), dtype="float32")
    _, (last, _) = recurrent.layer(graph, reader.spelling, letters, lengths=total(graph.cast(real, "int64"), 1))
    read = reshape(last, graph.size(tokens, 0), graph.size(tokens, 1), reader.character_size)
    return concat(graph, [x, read], 2)


def answer(run: Trained) -> dict[str, Any]:
    """What tags need beside the scores."""
    model: Tagger = run.model
    crf = model.crf_layer
    return {
        "tags": list(model.tags),
        "scheme": model.scheme,
        "word_by_word": model.causal,
        "unknown": UNKNOWN,
        "padding": PADDING,
        "longest_word": MOST_CHARACTERS if model.character_size else None,
        "crf": None if crf is None else {"weight": crf.weight.tolist(), "allowed": cast(Any, crf.allowed).tolist()},
    }
