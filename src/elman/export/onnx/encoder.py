"""Encoders of sequences: recurrent layers in one direction or both, and Transformer layers."""

from __future__ import annotations

from elman.export.onnx import recurrent
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.steps import transpose
from elman.models.encoder import RecurrentEncoder, SequenceEncoder, TransformerEncoder


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
    for layer in encoder.layers:
        before = [next(remaining) for _ in layer.specification.states] if state else None
        outputs, found = recurrent.layer(graph, layer, x, before, lengths=lengths)
        adds = encoder.settings.residual and layer.input_size == encoder.output_size
        x = x + outputs if adds else outputs
        after += found if encoder.causal else ()
    return transpose(x, 1, 0, 2), after


ENCODERS = {RecurrentEncoder: _recurrent}
