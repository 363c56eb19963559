"""A recurrent language model as C: a token in, the logits of the next one out."""

from __future__ import annotations

from typing import Any

from elman.export.c.interface import Interface
from elman.export.c.layers import stack
from elman.export.c.source import CSource
from elman.models.recurrent import RecurrentLM


def write(source: CSource, model: RecurrentLM, codecs: Any) -> Interface:
    """Add the functions of the model to a program."""
    V, E = model.vocab_size, model.embedding.embedding_dim
    source.matrix("output_weight", model.decoder.weight)  # first: where it is tied, it is the embedding too
    embedding = source.table("embedding", model.embedding.weight)
    body = [f"float x[{E}] = {{0}};", source.add_row("x", embedding, "token")]
    layers = stack(source, model.layers, residual=model.residual)
    source.fields += layers.fields
    read = layers.read("x", "state->")
    body += [*read.lines, *source.linear("output", model.decoder, read.output, "logits")]
    head = "void PREFIX_step(PREFIX_state *state, int token, float logits[PREFIX_TOKENS])"
    source.function(head, body)
    return Interface(
        summary=f"A language model of {V:,} tokens: {layers_in_words(model)}.",
        functions={head: "Read a token, from 0 to PREFIX_TOKENS - 1: softmax(logits) is the distribution of the next."},
        usage="float logits[PREFIX_TOKENS];\nPREFIX_step(&state, token, logits);    for each token",
        constants={"TOKENS": V},
        main=("int token; float logits[PREFIX_TOKENS]; GET(token); PREFIX_step(&state, token, logits); PUT(logits);",),
    )


def layers_in_words(model: Any) -> str:
    """The layers of a model.

    >>> layers_in_words(RecurrentLM("gru", 9, hidden_size=4))
    '1 layer of GRU, 4 units'
    """
    layers = list(model.layers)
    name = layers[0].specification.layer
    units = sorted({layer.hidden_size for layer in layers}, reverse=True)
    kinds = " and ".join(f"{size:,}" for size in units)
    return f"{len(layers)} layer{'s' * (len(layers) > 1)} of {name}, {kinds} units"
