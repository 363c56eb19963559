"""Encoders of sequences: recurrent layers in one direction or both, and Transformer layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from elman.export.onnx.attention import normed, read_layers
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.positions import rotary, sinusoidal, step_positions
from elman.export.onnx.recurrent import read_layer
from elman.export.onnx.sight import SlotMemory, all_steps, causal
from elman.export.onnx.steps import transpose
from elman.models.encoder import RecurrentEncoder, TransformerEncoder
from elman.models.sequence_encoder import SequenceEncoder
from elman.nn.recurrent import Recurrent


def encode(
    graph: Graph, encoder: SequenceEncoder, x: Value, state: list[Value] | None, lengths: Value | None = None
) -> tuple[Value, list[Value]]:
    """x (B, T, D) -> hidden states (B, T, H), and the state after them leaf by leaf; [] where it is not causal.

    Without a state a fresh one is read from.
    """
    return ENCODERS[type(encoder)](graph, encoder, x, state, lengths)


def _recurrent(
    graph: Graph, encoder: RecurrentEncoder, x: Value, state: list[Value] | None, lengths: Value | None
) -> tuple[Value, list[Value]]:
    x, after, remaining = transpose(x, 1, 0, 2), list[Value](), iter(state or ())  # (T, B, D)
    for layer in cast(Iterable[Recurrent], encoder.layers):
        before = [next(remaining) for _ in layer.specification.states] if state else None
        outputs, found = read_layer(graph, layer, x, before, lengths)
        adds = encoder.settings.residual and layer.input_size == encoder.output_size
        x = x + outputs if adds else outputs
        after += found if encoder.causal else ()
    return transpose(x, 1, 0, 2), after


def _transformer(
    graph: Graph, encoder: TransformerEncoder, x: Value, state: list[Value] | None, lengths: Value | None
) -> tuple[Value, list[Value]]:
    own, L = encoder.settings, encoder.settings.num_layers
    x = x.linear(encoder.inputs.weight, encoder.inputs.bias)
    keys, values, position = (state[:L], state[L:-1], state[-1]) if state else ([], [], None)
    memory = None if position is None else SlotMemory(graph.size(keys[0], 2), position)
    positions = step_positions(graph, x, position)  # (1 or B, T)
    rotation = None
    if own.positions == "sinusoidal":
        x = x + sinusoidal(positions, own.hidden_size)
    else:
        rotation = rotary(positions, own.hidden_size // own.num_heads)
    sight = causal(graph, x, own.window, memory, lengths) if own.is_causal else all_steps(x, lengths)
    read = read_layers(encoder.layers, x, sight, keys=keys, values=values, rotation=rotation)
    after = [] if position is None else [position + (graph.size(x, 1) if lengths is None else lengths)]
    return normed(read.x, encoder.norm), [*read.keys, *read.values, *after]


ENCODERS: dict[type[SequenceEncoder], Any] = {RecurrentEncoder: _recurrent, TransformerEncoder: _transformer}
