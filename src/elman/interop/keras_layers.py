"""The layers of Keras as nodes of a `LayeredModel`: a function for each class, by its name in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from elman.arrays import Numbers
from elman.errors import UserError, nearest
from elman.interop.convention import Convention
from elman.interop.converter import from_arrays
from elman.interop.frameworks import convention_named
from elman.interop.imported import ImportOptions
from elman.interop.keras_archives import KerasArchive
from elman.interop.layered_graph import LayeredGraph, Symbol
from elman.models.layered_ops import FUNCTIONS

# Names that differ from those of `FUNCTIONS`, and functions with a parameter of a fixed value.
ACTIVATIONS: dict[str, tuple[str, float | None]] = {
    **{name: (name, None) for name in FUNCTIONS},
    "swish": ("silu", None),
    "hard_swish": ("hard_silu", None),
    "exp": ("exponential", None),
    "leaky_relu": ("leaky_relu", 0.2),
    "elu": ("elu", 1.0),
    "celu": ("celu", 1.0),
}
MERGE_MODES = {"concat": "concat", "sum": "add", "mul": "multiply", "ave": "average"}  # as nodes of their own
CELLS = {"SimpleRNN": "SimpleRNN", "GRU": "GRU", "LSTM": "LSTM"}  # rows of `elman interop`, behind "keras."


@dataclass(frozen=True)
class KerasLayer:
    """A layer of a file."""

    graph: LayeredGraph
    archive: KerasArchive
    options: ImportOptions
    path: tuple[str, ...]  # the models around it
    kind: str
    own: Mapping[str, Any]  # its configuration
    parts: tuple[str, ...] = ("",)  # where its arrays are

    @property
    def name(self) -> str:
        """The name of its nodes."""
        return "/".join((*self.path, self.own["name"]))

    def arrays(self, *expected: bool) -> list[Numbers]:
        """Its arrays; of each that is expected there must be one."""
        found = self.archive.arrays((*self.path, self.own["name"]), self.parts)
        if len(found) != sum(expected):
            raise UserError("weights", expected=f"{sum(expected)} arrays", got=len(found))
        return found

    def need(self, **values: Any) -> None:
        """Raise `UserError` for an option with another value."""
        for name, value in values.items():
            if (got := self.own.get(name, value)) != value:
                raise UserError(name, expected=value, got=got)

    def check(self, array: Numbers, shape: tuple[int, ...]) -> Numbers:
        """An array, if it has that shape."""
        if array.shape != shape:
            raise UserError("weights", expected=f"an array of shape {shape}", got=array.shape)
        return array


def unknown(layer: Mapping[str, Any]) -> UserError:
    """The error for a layer that is not known."""
    kind, name = layer["class_name"], layer["config"].get("name")
    known = nearest(str(kind), LAYERS)
    return UserError(f"the layer {name!r}", expected="a layer of Keras that elman knows", got=str(kind), remedy=known)


def activated(layer: KerasLayer, value: Symbol, given: Any, name: str) -> Symbol:
    """The value under an activation, which a file names by a word."""
    if given is None or given == "linear":
        return value
    if not isinstance(given, str) or given not in ACTIVATIONS:
        word = given.get("config", given) if isinstance(given, dict) else given
        word = word.get("name", word) if isinstance(word, dict) else word
        remedy = nearest(word, ACTIVATIONS) if isinstance(word, str) else ""
        raise UserError("activation", expected="one that elman knows", got=repr(word), remedy=remedy)
    function, alpha = ACTIVATIONS[given]
    if alpha is None:
        return layer.graph.add("activation", name, value, function=function)
    return layer.graph.add("activation", name, value, function=function, alpha=alpha)


def embedding(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """Embedding; a mask of its own replaces none, for tokens have none."""
    layer.need(lora_rank=None, quantization_config=None)
    rows, size, masks = layer.own["input_dim"], layer.own["output_dim"], bool(layer.own.get("mask_zero"))
    weight = layer.check(layer.arrays(True)[0], (rows, size))
    tensors = {"weight": weight}
    made = layer.graph.add("embedding", layer.name, *given, tensors=tensors, rows=rows, size=size, mask_zero=masks)
    return made._replace(mask=frozenset([differs(given[0], 0)])) if masks else made


def masking(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """Masking."""
    value = float(layer.own["mask_value"])
    made = layer.graph.add("masking", layer.name, *given, mask_value=value)
    return made._replace(mask=frozenset([differs(given[0], value)]))


def differs(value: Symbol, number: Any) -> str:
    """The word for the mask of the steps that differ from a number."""
    return f"{value.name} != {float(number):g}"


def dense(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """Dense, with its activation as a node of its own."""
    layer.need(lora_rank=None, quantization_config=None)
    own, (value,) = layer.own, given
    biased, units = bool(own.get("use_bias", True)), own["units"]
    kernel, *bias = layer.arrays(True, biased)
    tensors = {"weight": layer.check(kernel, (value.size, units)).T}
    if bias:
        tensors["bias"] = layer.check(bias[0], (units,))
    plain = own.get("activation") in (None, "linear")
    made = layer.graph.add(
        "linear", layer.name + ("" if plain else ".logits"), value, tensors=tensors,
        input_size=value.size, output_size=units, bias=biased,
    )  # fmt: skip
    return activated(layer, made, own.get("activation"), layer.name)


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


def inner(layer: KerasLayer, wrapped: Mapping[str, Any], part: str) -> KerasLayer:
    """A layer in a wrapper, under the name of the latter."""
    own = {**wrapped["config"], "name": layer.own["name"]}
    return replace(layer, kind=wrapped["class_name"], own=own, parts=(part,))


def time_distributed(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """TimeDistributed: a layer that treats each vector by itself does so at every step anyway."""
    wrapped = layer.own["layer"]
    if wrapped["class_name"] not in POINTWISE:
        raise UserError("layer", expected=", ".join(POINTWISE), got=wrapped["class_name"])
    if not given[0].shape.per_step:
        raise UserError("input", expected="a vector at each step", got="one vector")
    return LAYERS[wrapped["class_name"]](inner(layer, wrapped, "layer"), given)


def dropout(layer: KerasLayer, given: Sequence[Symbol], locked: bool = False) -> Symbol:
    """Dropout, SpatialDropout1D."""
    layer.need(noise_shape=None)
    return layer.graph.add("dropout", layer.name, *given, p=float(layer.own["rate"]), locked=locked)


def layer_norm(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """LayerNormalization of the last axis."""
    layer.need(rms_scaling=False)
    scale, center = bool(layer.own.get("scale", True)), bool(layer.own.get("center", True))
    check_last(layer, given[0])
    tensors = dict(zip(("weight",) * scale + ("bias",) * center, layer.arrays(scale, center), strict=True))
    options = {"size": given[0].size, "epsilon": float(layer.own["epsilon"]), "scale": scale, "bias": center}
    sized = {name: layer.check(array, (given[0].size,)) for name, array in tensors.items()}
    return layer.graph.add("layer_norm", layer.name, *given, tensors=sized, **options)


def batch_norm(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """BatchNormalization by its moving statistics."""
    check_last(layer, given[0])
    size, scale, center = given[0].size, bool(layer.own.get("scale", True)), bool(layer.own.get("center", True))
    names = ("weight",) * scale + ("bias",) * center + ("mean", "variance")
    arrays = layer.arrays(scale, center, True, True)
    tensors = {name: layer.check(array, (size,)) for name, array in zip(names, arrays, strict=True)}
    like = tensors["mean"]
    tensors = {"weight": like * 0 + 1, "bias": like * 0} | tensors
    layer.graph.note(f"{layer.name} keeps its statistics when the run is trained further")
    options = {"size": size, "epsilon": float(layer.own["epsilon"])}
    return layer.graph.add("batch_norm", layer.name, *given, tensors=tensors, **options)


def check_last(layer: KerasLayer, value: Symbol, default: Any = -1) -> None:
    """Raise `UserError` unless the axis is the last one."""
    axis = layer.own.get("axis", default)
    if axis not in (-1, [-1], *((2, [2]) if value.shape.per_step else (1, [1]))):
        raise UserError("axis", expected="the last one", got=axis)


def activation(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """Activation."""
    if layer.own["activation"] == "linear":
        return given[0]
    return activated(layer, given[0], layer.own["activation"], layer.name)


def softmax(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """Softmax; Keras takes a mask for one of the numbers in a vector."""
    check_last(layer, given[0])
    if given[0].mask:
        raise UserError("input", expected="none with a mask", got="one with a mask")
    return layer.graph.add("activation", layer.name, *given, function="softmax")


def relu(layer: KerasLayer, given: Sequence[Symbol]) -> Symbol:
    """ReLU, with a slope or an end at 6."""
    layer.need(threshold=0.0)
    most, slope = layer.own.get("max_value"), float(layer.own.get("negative_slope") or 0)
    if most not in (None, 6) or (most and slope):
        raise UserError("max_value", expected="none, or 6 without a slope", got=most)
    if slope:
        return layer.graph.add("activation", layer.name, *given, function="leaky_relu", alpha=slope)
    return layer.graph.add("activation", layer.name, *given, function="relu6" if most else "relu")


def with_alpha(layer: KerasLayer, given: Sequence[Symbol], function: str, option: str) -> Symbol:
    """An activation with a parameter."""
    return layer.graph.add("activation", layer.name, *given, function=function, alpha=float(layer.own[option]))


def pool(layer: KerasLayer, given: Sequence[Symbol], op: str, use_mask: bool) -> Symbol:
    """GlobalAveragePooling1D, and GlobalMaxPooling1D, which knows no mask."""
    layer.need(keepdims=False, data_format="channels_last")
    return layer.graph.add(op, layer.name, *given, size=given[0].size, use_mask=use_mask)


def combined(layer: KerasLayer, given: Sequence[Symbol], op: str) -> Symbol:
    """Add and its like, and Concatenate: a mask is there where all values have one, of steps that any has."""
    if op == "concat":
        check_last(layer, given[0])
    made = layer.graph.add(op, layer.name, *given)
    every = all(value.mask for value in given)
    return made._replace(mask=frozenset().union(*(value.mask for value in given)) if every else frozenset())


LAYERS: dict[str, Callable[[KerasLayer, Sequence[Symbol]], Symbol]] = {
    "Embedding": embedding,
    "Masking": masking,
    **dict.fromkeys(CELLS, lambda layer, given: recurrent(replace(layer, parts=("cell",)), given)),
    "Bidirectional": bidirectional,
    "TimeDistributed": time_distributed,
    "Dense": dense,
    "Dropout": dropout,
    "SpatialDropout1D": partial(dropout, locked=True),
    "LayerNormalization": layer_norm,
    "BatchNormalization": batch_norm,
    "Activation": activation,
    "Softmax": softmax,
    "ReLU": relu,
    "LeakyReLU": partial(with_alpha, function="leaky_relu", option="negative_slope"),
    "ELU": partial(with_alpha, function="elu", option="alpha"),
    "GlobalAveragePooling1D": partial(pool, op="mean", use_mask=True),
    "GlobalMaxPooling1D": partial(pool, op="max", use_mask=False),
    "Concatenate": partial(combined, op="concat"),
    **{word.capitalize(): partial(combined, op=word) for word in ("add", "subtract", "multiply", "average")},
    **{word.capitalize(): partial(combined, op=word) for word in ("maximum", "minimum")},
}
POINTWISE = ("Dense", "Dropout", "LayerNormalization", "Activation", "ReLU", "LeakyReLU", "ELU")
