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
    bias: Value | None = None  # (B, 1, S), of the scores: 0, and −∞ at padding


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
    x = graph.add("Gather", graph.weight(model.target_embedding.weight), transpose(tokens, 1, 0), dtype="float32")
    hidden, weights, after = _read(graph, model, x, given)
    output = model.output_layer
    graph.output("logits", hidden.linear(output.weight, output.bias), ["batch", "time", model.vocab_size])
    for value, (_, shape, _) in zip(after, own, strict=False):
        graph.next_state(value, shape)
    if weights is not None:
        graph.output("attention", weights, ["batch", "time", "source"])
    return graph


def _read(
    graph: Graph, model: RecurrentEncoderDecoder, x: Value, given: dict[str, list[Value]]
) -> tuple[Value, Value | None, list[Value]]:
    """x (T, B, D) -> the inputs of the output layer (B, T, R), the attention (B, T, S), and the states that change."""
    if model.attention == "none":
        h, after = _layers(graph, model, x, given["layers"])
        return transpose(h, 1, 0, 2).linear(model.readout.weight, model.readout.bias).tanh(), None, after
    [values] = given["values"]
    bias = padding_bias(values, given["lengths"][0]) if "lengths" in given else None
    source = AttendedSource(given.get("keys", [values])[0], values, bias)
    if model.input_feeding:
        return _feed(graph, model, x, [*given["layers"], *given["fed"]], source)
    h, after = _layers(graph, model, x, given["layers"])
    return *_attend(model, transpose(h, 1, 0, 2), source), after


def _layers(graph: Graph, model: RecurrentEncoderDecoder, x: Value, state: list[Value]) -> tuple[Value, list[Value]]:
    """x (T, B, D) -> the last layer's outputs (T, B, H), and the layers' states."""
    after, remaining = list[Value](), iter(state)
    for layer in cast(Iterable[Recurrent], model.decoder):
        x, found = read_layer(graph, layer, x, [next(remaining) for _ in CELLS[model.cell].states])
        after += found
    return x, after


def _attend(model: RecurrentEncoderDecoder, h: Value, source: AttendedSource) -> tuple[Value, Value]:
    """h (B, T, H) -> the inputs of the output layer (B, T, R), and the attention (B, T, S)."""
    scores = SCORES[model.attention](model.alignment, h, source.keys)
    weights = (scores if source.bias is None else scores + source.bias).softmax(-1)
    both = concat(h.graph, [h, weights @ source.values], 2)
    return both.linear(model.readout.weight, model.readout.bias).tanh(), weights


def _product(alignment: Any, h: Value, keys: Value) -> Value:
    return h @ transpose(keys, 0, 2, 1)


def _additive(alignment: Any, h: Value, keys: Value) -> Value:
    query = h.linear(alignment.project_query.weight, alignment.project_query.bias)
    sums = unsqueeze(query, 2) + unsqueeze(keys, 1)  # (B, T, S, H)
    return squeeze(sums.tanh().linear(alignment.energy.weight), 3)


SCORES = {"dot": _product, "general": _product, "additive": _additive}


def _feed(
    graph: Graph, model: RecurrentEncoderDecoder, x: Value, state: list[Value], source: AttendedSource
) -> tuple[Value, Value, list[Value]]:
    """Step by step, for the hidden state of a step is an input of the next: a loop over x (T, B, D).

    The source goes from step to step unchanged: not every runtime shows a loop what is computed outside of it.
    """
    H, R, S = model.hidden_size, model.readout.out_features, "source"
    body = Graph("step", outer=graph)
    shapes: list[Shape] = [["batch", size] for _ in model.decoder for size in CELLS[model.cell].sizes(H, H)]
    shapes += [["batch", R], ["batch", S, H], ["batch", S, H]]
    shapes += [] if source.bias is None else [["batch", 1, S]]
    inner = [body.input(graph.fresh("before"), "float32", shape) for shape in shapes]
    count = len(state)
    embedded = body.input(graph.fresh("embedded"), "float32", ["batch", model.embedding_size])
    read = unsqueeze(concat(body, [embedded, inner[count - 1]], 1), 0)  # (1, B, D + R)
    h, after = _layers(body, model, read, inner[: count - 1])
    hidden, weights = _attend(model, transpose(h, 1, 0, 2), AttendedSource(*inner[count:]))
    fed = squeeze(hidden, 1)
    for value, shape in zip([*after, fed, *inner[count:]], shapes, strict=True):
        body.output(graph.fresh("after"), value, shape)
    body.output(graph.fresh("hidden"), fed, ["batch", R])
    body.output(graph.fresh("weights"), squeeze(weights, 1), ["batch", S])
    begun = [*state, *(part for part in source if part is not None), x]
    found = graph.add_many("Scan", len(shapes) + 2, *begun, body=body.proto(), num_scan_inputs=1, dtype="float32")
    return transpose(found[-2], 1, 0, 2), transpose(found[-1], 1, 0, 2), found[:count]


def kept(model: RecurrentEncoderDecoder, memory: RecurrentMemory, lengths: bool) -> list[Tensor]:
    """The leaves of the model's state that the graphs have."""
    states = [leaf for state in memory.layers for leaf in leaves(state)]
    own = {"fed": memory.fed, "keys": memory.keys, "values": memory.values, "lengths": memory.lengths}
    return states + [own[kind] for kind, _, _ in _leaves(model, lengths) if kind != "layers"]
