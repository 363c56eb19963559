"""The two graphs of a recurrent encoder-decoder: one makes a memory of a source, the other writes with the memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from torch import Tensor

from elman.cells import CELLS
from elman.export.onnx.graph import Graph, Shape, Value
from elman.export.onnx.recurrent import read_layer
from elman.export.onnx.steps import concat, padding_bias, squeeze, transpose, unsqueeze
from elman.models.recurrent_encoder_decoder import RecurrentEncoderDecoder, RecurrentMemory
from elman.nn.recurrent import Recurrent
from elman.state import leaves


class AttendedSource(NamedTuple):
    """What a decoder knows of the source, beside its layers' states."""

    keys: Value  # (B, S, H)
    values: Value  # (B, S, H)
    bias: Value | None  # (B, 1, S), of the scores: 0, and −∞ at padding


def _leaves(model: RecurrentEncoderDecoder, lengths: bool) -> list[tuple[str, Shape, str]]:
    """The leaves of the state: what each is, its shape and its type.

    Those that hold nothing, and keys that are the values, are left out. What the encoder does not give begins as zeros;
    what the decoder does not give stays as it is.
    """
    H, R = model.hidden_size, model.readout.out_features
    found: list[tuple[str, Shape, str]] = []
    for _ in model.decoder:
        found += [("layers", ["batch", size], "float32") for size in CELLS[model.cell].sizes(H, H)]
    found += [("fed", ["batch", R], "float32")] if model.input_feeding else []
    if model.attention != "none":
        found += [("keys", ["batch", "source", H], "float32")] if model.attention != "dot" else []
        found += [("values", ["batch", "source", H], "float32")]
        found += [("lengths", ["batch"], "int64")] if lengths else []
    return found


def encoder(model: RecurrentEncoderDecoder, lengths: bool) -> Graph:
    """A source to the decoder's first states, and to what the decoder attends to."""
    graph = Graph("encoder", model)
    source = graph.input("source", "int64", ["batch", "source"])
    ends = graph.input("lengths", "int64", ["batch"]) if lengths else None
    x = graph.add("Gather", graph.weight(model.source_embedding.weight), transpose(source, 1, 0), dtype="float32")
    finals = list[list[Value]]()
    for layer in cast(Iterable[Recurrent], model.encoder):
        x, final = read_layer(graph, layer, x, lengths=ends)
        parts = len(CELLS[model.cell].states)  # of each direction, one after the other
        finals.append([concat(graph, final[at::parts], 1) for at in range(parts)])
    found: dict[str, list[Value]] = {"layers": _bridge(graph, model, finals)}
    if model.attention != "none":
        values = transpose(x, 1, 0, 2)
        found["values"] = [values]
        if model.attention != "dot":
            found["keys"] = [values.linear(model.alignment.project_memory.weight)]
        found["lengths"] = [ends] if ends is not None else []
    for at, (kind, shape, _) in enumerate(_leaves(model, lengths)):
        if found.get(kind):
            graph.output(f"next_state_{at}", found[kind].pop(0), shape)
    return graph


def _bridge(graph: Graph, model: RecurrentEncoderDecoder, finals: list[list[Value]]) -> list[Value]:
    """The decoder's first states; none where they are zeros."""
    if model.bridge == "none":
        return []
    if model.bridge == "copy":
        return [leaf for final in finals for leaf in final]
    crossed, bridges = list[Value](), iter(model.bridges)
    for final in finals:
        for at, (state, leaf) in enumerate(zip(CELLS[model.cell].states, final, strict=True)):
            if state.mixes:
                bridge: Any = next(bridges)
                leaf = leaf.linear(bridge.weight, bridge.bias)
            crossed.append(leaf.tanh() if at == 0 else leaf)
    return crossed


def decoder(model: RecurrentEncoderDecoder, lengths: bool) -> Graph:
    """Target tokens, and the state, to logits."""
    graph = Graph("decoder", model)
    tokens = graph.input("tokens", "int64", ["batch", "time"])
    own = _leaves(model, lengths)
    given: dict[str, list[Value]] = {}
    for kind, shape, dtype in own:
        given.setdefault(kind, []).append(graph.state(shape, dtype))
    memory = None
    if model.attention != "none":
        [values] = given["values"]
        bias = padding_bias(values, given["lengths"][0]) if lengths else None
        memory = AttendedSource(given.get("keys", [values])[0], values, bias)
    x = graph.add("Gather", graph.weight(model.target_embedding.weight), transpose(tokens, 1, 0), dtype="float32")
    if model.input_feeding:
        hidden, weights, after = _feed(graph, model, x, [*given["layers"], *given["fed"]], memory)
    else:
        h, after = _layers(graph, model, x, given["layers"])
        hidden, weights = _attend(graph, model, transpose(h, 1, 0, 2), memory)
    output = model.output_layer
    graph.output("logits", hidden.linear(output.weight, output.bias), ["batch", "time", model.vocab_size])
    for value, (_, shape, _) in zip(after, own, strict=False):
        graph.next_state(value, shape)
    if weights is not None:
        graph.output("attention", weights, ["batch", "time", "source"])
    return graph


def _layers(graph: Graph, model: RecurrentEncoderDecoder, x: Value, state: list[Value]) -> tuple[Value, list[Value]]:
    """x (T, B, D) -> the last layer's outputs (T, B, H), and the layers' states."""
    after, remaining = list[Value](), iter(state)
    for layer in cast(Iterable[Recurrent], model.decoder):
        x, found = read_layer(graph, layer, x, [next(remaining) for _ in CELLS[model.cell].states])
        after += found
    return x, after


def _attend(
    graph: Graph, model: RecurrentEncoderDecoder, h: Value, memory: AttendedSource | None
) -> tuple[Value, Value | None]:
    """h (B, T, H) -> the inputs of the output layer (B, T, R), and the attention (B, T, S)."""
    if memory is None:
        return h.linear(model.readout.weight, model.readout.bias).tanh(), None
    scores = SCORES[model.attention](model.alignment, h, memory.keys)
    weights = (scores if memory.bias is None else scores + memory.bias).softmax(-1)
    both = concat(graph, [h, weights @ memory.values], 2)
    return both.linear(model.readout.weight, model.readout.bias).tanh(), weights


def _product(alignment: Any, h: Value, keys: Value) -> Value:
    return h @ transpose(keys, 0, 2, 1)


def _additive(alignment: Any, h: Value, keys: Value) -> Value:
    query = h.linear(alignment.project_query.weight, alignment.project_query.bias)
    sums = unsqueeze(query, 2) + unsqueeze(keys, 1)  # (B, T, S, H)
    return squeeze(sums.tanh().linear(alignment.energy.weight), 3)


SCORES = {"dot": _product, "general": _product, "additive": _additive}


def _feed(
    graph: Graph, model: RecurrentEncoderDecoder, x: Value, state: list[Value], memory: AttendedSource | None
) -> tuple[Value, Value | None, list[Value]]:
    """Step by step, for the hidden state of a step is an input of the next: a loop over x (T, B, D)."""
    H, R = model.hidden_size, model.readout.out_features
    body = Graph("step", outer=graph)
    sizes = [*[size for _ in model.decoder for size in CELLS[model.cell].sizes(H, H)], R]
    inner = [body.input(graph.fresh("before"), "float32", ["batch", size]) for size in sizes]
    embedded = body.input(graph.fresh("embedded"), "float32", ["batch", model.embedding_size])
    read = unsqueeze(concat(body, [embedded, inner[-1]], 1), 0)  # (1, B, D + R)
    h, after = _layers(body, model, read, inner[:-1])
    hidden, weights = _attend(body, model, transpose(h, 1, 0, 2), memory)
    assert weights is not None
    fed = squeeze(hidden, 1)
    for value, size in zip([*after, fed], sizes, strict=True):
        body.output(graph.fresh("after"), value, ["batch", size])
    body.output(graph.fresh("hidden"), fed, ["batch", R])
    body.output(graph.fresh("weights"), squeeze(weights, 1), ["batch", "source"])
    *after, hidden, weights = graph.add_many(
        "Scan", len(sizes) + 2, *state, x, body=body.proto(), num_scan_inputs=1, dtype="float32"
    )
    return transpose(hidden, 1, 0, 2), transpose(weights, 1, 0, 2), after


def kept(model: RecurrentEncoderDecoder, memory: RecurrentMemory, lengths: bool) -> list[Tensor]:
    """The leaves of the model's state that the graphs have."""
    states = [leaf for state in memory.layers for leaf in leaves(state)]
    own = {"fed": memory.fed, "keys": memory.keys, "values": memory.values, "lengths": memory.lengths}
    return states + [own[kind] for kind, _, _ in _leaves(model, lengths) if kind != "layers"]
