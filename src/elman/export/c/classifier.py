"""A classifier that reads in one direction as C: a step in, the logits of all that was read out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from elman.export.c.cells import every_unit
from elman.export.c.encoder import encoder_stack
from elman.export.c.interface import Interface
from elman.export.c.language_model import layers_in_words
from elman.export.c.pooling import pooled
from elman.export.c.source import CSource, declared
from elman.models.classifier import Classifier
from elman.nn.ngram_embedding import NgramEmbedding


def write(source: CSource, model: Classifier, codecs: Mapping[str, Any]) -> Interface:
    """Add the functions of the model to a program. Raises `UserError` where it needs the whole sequence."""
    K, E = model.outputs, model.encoder.input_size
    layers = encoder_stack(source, model.encoder)
    source.fields += layers.fields
    kind = "values" if model.channels else "ngrams" if model.ngrams else "token"
    embedding, arguments, meaning, get = EMBEDDINGS[kind](source, model, codecs)
    read = layers.read("x", "state->")
    lines, output = pooled(source, model.pool, read)
    body = [f"float x[{E}] = {{0}};", *embedding, *read.lines, *lines]
    body += source.linear("output", model.output, output, "logits")
    head = f"void PREFIX_step(PREFIX_state *state, {arguments}, float logits[PREFIX_OUTPUTS])"
    source.function(head, body)
    call = f"PREFIX_step(&state, {', '.join(_names(arguments))}, logits);"
    labels = codecs.get("labels")
    names = labels.names if labels else ()
    return Interface(
        summary=f"A classifier with {K} output{'s' * (K > 1)}: {layers_in_words(model.encoder)}.",
        functions={head: f"{meaning}. Logits are those of all that was read so far: {answer_in_words(model, labels)}."},
        usage=f"float logits[PREFIX_OUTPUTS];\n{call}    for each step",
        main=(f"float logits[PREFIX_OUTPUTS]; {get} {call} PUT(logits);",),
        constants={"OUTPUTS": K},
        names=names,
    )


def _names(arguments: str) -> list[str]:
    return [declared(part) for part in arguments.split(", ")]


def answer_in_words(model: Classifier, labels: Any) -> str:
    """What logits mean, in words."""
    divided = "" if model.temperature == 1 else f" / {model.temperature.item():.7g}"
    if model.kind_of_labels == "class":
        return f"softmax(logits{divided}) is the distribution of the classes"
    if model.kind_of_labels == "several":
        least = ", ".join(f"{threshold:.4g}" for threshold in model.thresholds.tolist())
        return f"sigmoid(logits{divided}) are the labels' probabilities; each holds from {least} on"
    if labels is None:
        return "a number"
    return f"the number is {labels.mean!r} + {labels.deviation!r} * logits[0]"


Embedding = tuple[list[str], str, str, str]
"""Statements x += the embedding; the arguments that a step has for them; words; and statements that get them."""


def _token(source: CSource, model: Classifier, codecs: Mapping[str, Any]) -> Embedding:
    table = source.table("embedding", cast(nn.Embedding, model.embedding).weight)
    meaning = f"Read a token, from 0 to {table.K - 1}"
    return [source.add_row("x", table, "token")], "int token", meaning, "int token; GET(token);"


def _ngrams(source: CSource, model: Classifier, codecs: Mapping[str, Any]) -> Embedding:
    table = source.table("embedding", cast(NgramEmbedding, model.embedding).weight)
    lines = ["int present = 0;", "for (int g = 0; g < count; g++)", "    if (ngrams[g] > 0) {", "        present++;"]
    lines += [f"        {source.add_row('x', table, 'ngrams[g]')}", "    }", "if (present > 1)"]
    lines += [f"    {line}" for line in every_unit("x[u] /= sqrtf(present);", size=table.D)]
    meaning = f"Read a word, which is a set of n-grams with numbers below {table.K}; 0 is none"
    get = "int count, ngrams[4096]; GET(count); GET_SOME(ngrams, count);"
    return lines, "const int *ngrams, int count", meaning, get


def _values(source: CSource, model: Classifier, codecs: Mapping[str, Any]) -> Embedding:
    C = int(model.channels or 0)
    scaler = codecs.get("scaler")
    value = "(float)values[u]"
    if scaler is not None:
        mean = source.doubles("channel_mean", torch.tensor(scaler.mean, dtype=torch.float64))
        deviation = source.doubles("channel_deviation", torch.tensor(scaler.deviation, dtype=torch.float64))
        value = f"(float)((values[u] - {mean}[u]) / {deviation}[u])"
    embedding = cast(nn.Linear, model.embedding)
    lines = [f"float given[{embedding.in_features}];"]
    missing = [f"given[{C} + u] = isnan(values[u]) ? 1 : 0;"] if model.missing else []
    lines += every_unit(f"given[u] = isnan(values[u]) ? 0 : {value};", *missing, size=C)
    lines += source.linear("embedding", embedding, "given", "x")
    units = "in the units of the data" if scaler is not None else "standardised"
    meaning = f"Read a step of {C} channels, {units}; NaN is a missing value"
    return lines, f"const double values[{C}]", meaning, f"double values[{C}]; GET(values);"


EMBEDDINGS = {"token": _token, "ngrams": _ngrams, "values": _values}
