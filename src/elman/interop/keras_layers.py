"""The layers of Keras as nodes of a `LayeredModel`: a function for each class, by its name in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from elman.errors import UserError, nearest
from elman.interop.keras_layer import KerasLayer, activated, check_last, inner
from elman.interop.keras_recurrent import CELLS, bidirectional, recurrent
from elman.interop.layered_graph import Symbol


def unknown(layer: Mapping[str, Any]) -> UserError:
    """The error for a layer that is not known."""
    kind, name = layer["class_name"], layer["config"].get("name")
    known = nearest(str(kind), LAYERS)
    return UserError(f"the layer {name!r}", expected="a layer of Keras that elman knows", got=str(kind), remedy=known)


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
