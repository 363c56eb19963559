"""The recurrent layers of Keras as nodes of a `LayeredModel`, in one direction and in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from elman.arrays import Numbers
from elman.errors import UserError
from elman.interop.convention import Convention
from elman.interop.converter import from_arrays
from elman.interop.frameworks import convention_named
from elman.interop.keras_layer import KerasLayer, inner
from elman.interop.layered_graph import Symbol

MERGE_MODES = {"concat": "concat", "sum": "add", "mul": "multiply", "ave": "average"}  # as nodes of their own
CELLS = {"SimpleRNN": "SimpleRNN", "GRU": "GRU", "LSTM": "LSTM"}  # rows of `elman interop`, behind "keras."


def recurrent(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """LSTM, GRU and SimpleRNN in one direction."""
    value = inner_dropout(layer, given[0])
    row, arrays = rows(layer), layer.arrays(True, True, biased(layer))
    made = from_arrays(row, named(layer, arrays, ""))
    backward = {"direction": "backward", "in_time_order": False} if layer.own.get("go_backwards") else {}
    return add_recurrent(layer, layer.name, value, made, row, backward)


def add_recurrent(
    layer: KerasLayer, name: str, value: Symbol, made: Any, row: Convention, options: Mapping[str, Any]
) -> Symbol:
    """The node of a layer of `elman.nn`."""
    own = layer.own
    layer.need(return_state=False)
    zeros = bool(own.get("zero_output_for_mask"))
    if zeros and own.get("unroll"):  # where it unrolls, Keras on JAX forgets the flag
        zeros = layer.archive.backend != "jax"
        if layer.archive.backend is None:
            layer.graph.note(
                f"{name} is unrolled: outputs at masked steps are zeros, which Keras on JAX repeats instead"
            )
    given = {
        "cell": row.cell, "input_size": made.input_size, "hidden_size": made.hidden_size, "bias": made.bias,
        "reads": "sequence" if own.get("return_sequences") else "last", "padding": "zero" if zeros else "repeat",
        "leading": layer.options.leading, "recurrent_dropout": float(own.get("recurrent_dropout") or 0), **row.options,
    }  # fmt: skip
    return layer.graph.add("recurrent", name, value, tensors=made.state_dict(), **given, **options)


def rows(layer: KerasLayer) -> Convention:
    """The row of `elman interop` for a recurrent layer. Raises `UserError` for activations that elman does not have."""
    own, kind = layer.own, CELLS.get(layer.kind)
    if kind is None:
        raise UserError("layer", expected=" or ".join(CELLS), got=layer.kind)
    for name in ("activation", "recurrent_activation"):
        if not isinstance(own.get(name, ""), str):
            raise UserError(name, expected="a word", got="a function of its own")
    kind += "_reset_before" if kind == "GRU" and not own.get("reset_after", True) else ""
    own_activation = own.get("activation", "tanh")
    gates = own.get("recurrent_activation", "sigmoid")
    named_ = {"SimpleRNN": (own_activation,), "LSTM": (gates, own_activation, own_activation)}
    row = convention_named(f"keras.{kind}", activations=named_.get(kind, (gates, own_activation)))
    if reason := row.why_not():
        raise UserError(reason)
    return row


def biased(layer: KerasLayer) -> bool:
    """Whether there is a bias."""
    return bool(layer.own.get("use_bias", True))


def named(layer: KerasLayer, arrays: Sequence[Numbers], path: str) -> dict[str, Numbers]:
    """The arrays of a cell by Keras's names; W_ih must be as wide as the layer says."""
    found = {f"{path}cell.{name}": a for name, a in zip(("kernel", "recurrent_kernel", "bias"), arrays, strict=False)}
    if arrays[1].ndim != 2 or arrays[1].shape[0] != layer.own["units"]:
        raise UserError("units", expected=layer.own["units"], got=f"weights of shape {arrays[1].shape}")
    return found


def inner_dropout(layer: KerasLayer, value: Symbol) -> Symbol:
    """The dropout that a recurrent layer has before it, the same units at all steps."""
    p = float(layer.own.get("dropout") or 0)
    return layer.graph.add("dropout", f"{layer.name}.dropout", value, p=p, locked=True) if p else value


def bidirectional(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """Bidirectional: one node where both halves are alike, else a node for each and one that merges these."""
    halves = [inner(layer, layer.own["layer"], "forward_layer/cell")]
    halves.append(inner(layer, layer.own.get("backward_layer") or layer.own["layer"], "backward_layer/cell"))
    forward, backward = halves
    mode = layer.own.get("merge_mode")
    if mode not in MERGE_MODES:
        raise UserError("merge_mode", expected=", ".join(MERGE_MODES), got=repr(mode))
    if forward.own.get("go_backwards") or (layer.own.get("backward_layer") and not backward.own.get("go_backwards")):
        raise UserError("go_backwards", expected="of the second layer alone", got="another order")
    value = inner_dropout(forward, given[0])
    row, other = rows(forward), rows(backward)
    counts = [2 + biased(half) for half in halves]
    arrays = replace(layer, parts=(*forward.parts, *backward.parts)).arrays(*[True] * sum(counts))
    theirs = (
        named(forward, arrays[: counts[0]], "forward_layer."),
        named(backward, arrays[counts[0] :], "backward_layer."),
    )
    if row == other and counts[0] == counts[1] and forward.own["units"] == backward.own["units"]:
        made = from_arrays(row, theirs[0] | theirs[1])
        return add_recurrent(forward, layer.name, value, made, row, {"direction": "both", "merge": mode})
    parts = []
    for half, own, convention, way in zip(halves, theirs, (row, other), ("forward", "backward"), strict=True):
        made = from_arrays(convention, {name.partition(".")[2]: array for name, array in own.items()})
        parts.append(add_recurrent(half, f"{layer.name}.{way}", value, made, convention, {"direction": way}))
    return layer.graph.add(MERGE_MODES[mode], layer.name, *parts)
