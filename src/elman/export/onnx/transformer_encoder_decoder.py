"""The two graphs of a Transformer encoder-decoder."""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor, nn

from elman.export.onnx.attention import SourceEntries, normed, project, read_layers
from elman.export.onnx.graph import Graph, Shape, Value
from elman.export.onnx.positions import sinusoidal, step_positions
from elman.export.onnx.sight import SlotMemory, all_steps, causal
from elman.export.onnx.steps import padding_bias, transpose, unsqueeze
from elman.models.transformer_encoder_decoder import TransformerEncoderDecoder, TransformerMemory
from elman.nn.transformer import TransformerLayer
from elman.state import leaves


def encoder(model: TransformerEncoderDecoder, lengths: bool) -> Graph:
    """A source to the keys and values that each layer of the decoder attends to."""
    graph = Graph("encoder", model)
    source = graph.input("source", "int64", ["batch", "source"])
    ends = graph.input("lengths", "int64", ["batch"]) if lengths else None
    x = _embedded(graph, model, model.source_embedding, source, None)
    x = normed(read_layers(model.encoder, x, all_steps(x, ends)).x, model.encoder_norm)
    entries = [project(cast(TransformerLayer, layer).cross_attention, x) for layer in model.decoder]
    made = [keys for keys, _ in entries] + [values for _, values in entries] + ([] if ends is None else [ends])
    own = _leaves(model, lengths)
    first = len(own) - len(made)
    for at, (value, (shape, _)) in enumerate(zip(made, own[first:], strict=True), first):
        graph.output(f"next_state_{at}", value, shape)
    return graph


def decoder(model: TransformerEncoderDecoder, lengths: bool) -> Graph:
    """Target tokens, and the state, to logits; its own keys and values grow."""
    graph, L = Graph("decoder", model), model.decoder_layers
    tokens = graph.input("tokens", "int64", ["batch", "time"])
    own = _leaves(model, lengths)
    state = [graph.state(shape, dtype) for shape, dtype in own]
    keys, values, position = state[:L], state[L : 2 * L], state[2 * L]
    entries = zip(state[2 * L + 1 : 3 * L + 1], state[3 * L + 1 : 4 * L + 1], strict=True)
    x = _embedded(graph, model, model.target_embedding, tokens, position)
    sight = causal(graph, x, None, SlotMemory(graph.size(keys[0], 2), position), None)
    bias = unsqueeze(padding_bias(transpose(state[2 * L + 1], 0, 2, 1, 3), state[-1]), 1) if lengths else None
    sources = [SourceEntries(each, bias) for each in entries]
    read = read_layers(model.decoder, x, sight, keys=keys, values=values, sources=sources)
    output = model.output_layer
    logits = normed(read.x, model.decoder_norm).linear(output.weight, output.bias)
    graph.output("logits", logits, ["batch", "time", model.vocab_size])
    after = [*read.keys, *read.values, position + graph.size(x, 1)]
    for value, (shape, _) in zip(after, own, strict=False):
        graph.next_state(value, ["next_memory" if size == "memory" else size for size in shape])
    weights = sum(read.weights[1:], read.weights[0]) / float(L)
    mean = graph.add("ReduceMean", weights, axes=[1], keepdims=0)
    graph.output("attention", mean, ["batch", "time", "source"])
    return graph


def _leaves(model: TransformerEncoderDecoder, lengths: bool) -> list[tuple[Shape, str]]:
    """Shape and type of each leaf of a `TransformerMemory`."""
    N, D, both = model.num_heads, model.hidden_size // model.num_heads, 2 * model.decoder_layers
    own: list[tuple[Shape, str]] = [(["batch", N, "memory", D], "float32")] * both
    source: list[tuple[Shape, str]] = [(["batch", N, "source", D], "float32")] * both
    return [*own, (["batch"], "int64"), *source, *([(["batch"], "int64")] if lengths else [])]


def _embedded(
    graph: Graph, model: TransformerEncoderDecoder, embedding: nn.Module, tokens: Value, position: Value | None
) -> Value:
    """Embeddings and positions (B, T, H) of tokens (B, T) after `position` (B,) others."""
    table = cast(nn.Embedding, embedding).weight
    x = graph.add("Gather", graph.weight(table), tokens, dtype="float32") * math.sqrt(model.hidden_size)
    positions = step_positions(graph, x, position)
    if model.positions == "learned":
        learnt = graph.weight(model.position_embedding.weight)
        return x + graph.add("Gather", learnt, positions, dtype="float32")
    return x + sinusoidal(positions, model.hidden_size)


def kept(model: TransformerEncoderDecoder, memory: TransformerMemory, lengths: bool) -> list[Tensor]:
    """The leaves of the model's state that the graphs have."""
    return list(leaves(memory))[: len(_leaves(model, lengths))]
