"""Layer and batch normalisation, also written out: (x - mean) / sqrt(mean of (x - mean)² + ε)."""

from __future__ import annotations

from typing import Any

from elman.arrays import Numbers
from elman.interop.onnx.drafts import Draft, scaled
from elman.interop.onnx.values import Lifted, NodeCall, Operator, Traced, is_whole


def pseudo(call: NodeCall, op: str, value: Traced, **options: Any) -> Traced:
    """A value that is none of `LayeredModel`, and a part of a normalisation."""
    layer = Draft(op, (value.layer,), value.size or 1, options, source=f"{call.node}")
    return value._replace(layer=call.trace.layers.add(call.name, layer))


def normalised(call: NodeCall, a: Traced, b: Traced) -> Traced | None:
    """What a and b make together in a normalisation, or None."""
    found = call.trace.layers.found
    one, other, op = found.get(a.layer), found.get(b.layer), call.node.op
    if op == "Sub" and other is not None and other.op == "feature_mean" and other.inputs == (a.layer,):
        return pseudo(call, "centered", a)
    if op == "Mul" and a.layer == b.layer and one is not None and one.op == "centered":
        return pseudo(call, "square", a)
    if op == "Div" and one is not None and other is not None and (one.op, other.op) == ("centered", "deviation"):
        if one.inputs != other.inputs[:1]:
            return None
        size = a.size or 1
        options = {"size": size, "epsilon": other.options["epsilon"], "scale": False, "bias": False}
        layer = Draft("layer_norm", one.inputs, size, options, source=f"{call.node}")
        return a._replace(layer=call.trace.layers.add(call.name, layer))
    return None


def power(call: NodeCall) -> Lifted:
    """Pow: the square in a normalisation."""
    value, exponent = call.value(), call.constant(1, "exponent")
    layer = call.trace.layers.found.get(value.layer)
    if layer is None or layer.op != "centered" or exponent.size != 1 or exponent.reshape(-1)[0] != 2:
        call.refuse("powers are understood in a layer normalisation alone")
    return pseudo(call, "square", value)


def root(call: NodeCall) -> Lifted:
    """Sqrt: the deviation in a normalisation."""
    value = call.value()
    layer = call.trace.layers.found.get(value.layer)
    if layer is None or layer.op != "variance" or not layer.options["epsilon"] > 0:
        call.refuse("roots are understood in a layer normalisation alone")
    options = {"epsilon": layer.options["epsilon"]}
    own = Draft("deviation", layer.inputs, layer.size, options, source=f"{call.node}")
    return value._replace(layer=call.trace.layers.add(call.name, own))


def layer_normalization(call: NodeCall) -> Lifted:
    """LayerNormalization."""
    value, size = call.numbers()
    axis = call.axis(call.attribute("axis", -1), value.dims)
    if axis != len(value.dims) - 1 or not is_whole(value, axis):
        call.refuse("it normalises other axes than all features")
    return _norm(call, "layer_norm", value, size, scale=True, bias=call.given(2) is not None)


def batch_normalization(call: NodeCall) -> Lifted:
    """BatchNormalization, outside of a training."""
    value, size = call.numbers()
    if call.attribute("training_mode", 0) or len(value.dims) < 2 or not is_whole(value, 1):
        call.refuse("it is in training, or normalises other axes than all features")
    found = _norm(call, "batch_norm", value, size)
    for name, index in (("mean", 3), ("variance", 4)):
        call.trace.layers[found.layer].tensors[f"layer.{name}"] = _statistics(call, index, name, size)
    return found


def _norm(call: NodeCall, op: str, value: Traced, size: int, **options: bool) -> Traced:
    tensors, names = {}, {"weight": 1, "bias": 2}
    for name, index in names.items():
        if call.given(index) is not None:
            tensors[f"layer.{name}"] = _statistics(call, index, name, size)
    epsilon = call.attribute("epsilon", 1e-5)
    layer = Draft(op, (value.layer,), size, {"size": size, "epsilon": epsilon} | options, tensors, f"{call.node}")
    return value._replace(layer=call.trace.layers.add(call.name, layer))


def _statistics(call: NodeCall, index: int, name: str, size: int) -> Numbers:
    array = call.constant(index, name)
    if array.size not in (1, size):
        call.refuse(f"its {name} has {array.size} numbers for {size} features")
    return scaled(array.reshape(-1), size)


OPERATORS: dict[str, Operator] = {
    "Pow": power,
    "Sqrt": root,
    "LayerNormalization": layer_normalization,
    "BatchNormalization": batch_normalization,
}
