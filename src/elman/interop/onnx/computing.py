"""Operators that compute: linear layers, activations, normalisations, reductions and combinations."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from elman.arrays import Numbers
from elman.interop.onnx.axes import REVERSED, TIME, Dims, features
from elman.interop.onnx.layers import Layer, scaled
from elman.interop.onnx.structure import in_words, same_place
from elman.interop.onnx.values import Call, Lifted, Operator, Value

ACTIVATIONS = {
    "Tanh": "tanh", "Sigmoid": "sigmoid", "Relu": "relu", "Softplus": "softplus", "Softsign": "softsign",
    "HardSwish": "hard_silu", "Mish": "mish", "Exp": "exponential",
}  # fmt: skip
WITH_ALPHA = {"LeakyRelu": ("leaky_relu", 0.01), "Elu": ("elu", 1.0), "Celu": ("celu", 1.0)}
COMBINATIONS = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Max": "maximum", "Min": "minimum", "Sum": "add"}


def is_whole(value: Value, axis: int) -> bool:
    """Whether a dimension has all features, in their order."""
    return value.size is not None and value.dims[axis] == features(value.size)


def numbers(call: Call, index: int = 0) -> tuple[Value, int]:
    """An input that has features, and their number."""
    value = call.value(index)
    return (value, value.size) if value.size is not None else call.refuse("it computes with tokens")


def linear(call: Call, value: Value, weight: Numbers, bias: Numbers | None = None) -> Value:
    """x W + b, where W is (inputs, outputs) and x's last dimension has all features."""
    if weight.ndim != 2 or not is_whole(value, -1) or weight.shape[0] != value.size or not weight.size:
        call.refuse(f"it multiplies {value.size} features, or a part of them, by a matrix {weight.shape}")
    size = weight.shape[1]
    call.spend(weight.size)
    tensors = {"layer.weight": np.ascontiguousarray(weight.T, np.float32)}
    if bias is not None:
        tensors["layer.bias"] = scaled(bias.reshape(-1), size)
    options = {"input_size": weight.shape[0], "output_size": size, "bias": bias is not None}
    layer = Layer("linear", (value.layer,), size, options, tensors, f"{call.node}")
    return Value(call.reading.layers.add(call.name, layer), size, (*value.dims[:-1], features(size)))


def matmul(call: Call) -> Lifted:
    """MatMul by a constant on the right."""
    weight = call.constant(1, "second factor")
    if weight.ndim > 2 and prod(weight.shape[:-2]) == 1:
        weight = weight.reshape(weight.shape[-2:])
    return linear(call, call.value(), weight)


def gemm(call: Call) -> Lifted:
    """Gemm: alpha x W + beta C."""
    weight, bias = call.constant(1, "second factor"), call.given(2)
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    if call.attribute("transA", 0) or weight.ndim != 2:
        call.refuse("it multiplies by what is no matrix on the right")
    weight = weight.T if call.attribute("transB", 0) else weight
    if bias is not None:
        bias = call.constant(2, "bias")
        if bias.size not in (1, weight.shape[1]):
            call.refuse("its bias is no vector")
        bias = bias if beta == 1 else bias * np.float32(beta)
    return linear(call, call.value(), weight if alpha == 1 else weight * np.float32(alpha), bias)


def vector(call: Call, value: Value, array: Numbers) -> Numbers:
    """A constant that is broadcast over a value, as a vector of its features."""
    dims, size = same_place(value.dims), value.size or 1
    array = array.reshape(array.shape[max(0, array.ndim - len(dims)) :]) if array.ndim > len(dims) else array
    array = array.reshape((1,) * (len(dims) - array.ndim) + array.shape)
    atoms = [atom for dim in dims for atom in dim if atom.axis == "features"]
    for dim, there in zip(dims, array.shape, strict=True):
        own = prod(atom.size for atom in dim) if all(atom.axis == "features" for atom in dim) else 1
        if there not in (1, own):
            call.refuse(f"it has a constant that differs along {in_words(dim)}")
    shape = [prod(atom.size for atom in dim if atom.axis == "features") for dim in dims]
    by_atom = np.broadcast_to(array, shape).reshape([atom.size for atom in atoms])
    order = sorted(range(len(atoms)), key=lambda at: -atoms[at].stride)
    return np.ascontiguousarray(by_atom.transpose(order), np.float32).reshape(size)


def combined(call: Call) -> Lifted:
    """Add, Sub, Mul, Max, Min of two values, or of a value and a constant."""
    if not all(isinstance(value, Value) for value in call.inputs) or len(call.inputs) > 2:
        return with_constant(call)
    (a, size), (b, _) = numbers(call, 0), numbers(call, 1)
    if (found := _normalised(call, a, b)) is not None:
        return found
    if same_place(a.dims) != same_place(b.dims) or a.size != b.size:
        call.refuse("it mixes axes (its inputs have them in different orders or sizes)")
    dims = a.dims if len(a.dims) >= len(b.dims) else b.dims
    return call.layer(COMBINATIONS[call.node.op], [a, b], size, dims)


def with_constant(call: Call) -> Lifted:
    """Add, Sub, Mul or Div of a value and a constant."""
    op = call.node.op
    if len(call.inputs) != 2 or op not in ("Add", "Sub", "Mul", "Div"):
        call.refuse("it combines other values than two, or a constant")
    at = 0 if isinstance(call.inputs[0], Value) else 1
    value, size = numbers(call, at)
    array = call.constant(1 - at, "other input")
    layers, shift, scale = call.reading.layers, None, None
    before = layers.found.get(value.layer)
    if before is not None and before.op == "variance" and op == "Add" and array.size == 1:
        options = {"epsilon": float(array.reshape(-1)[0])}
        return value._replace(layer=layers.add(call.name, Layer("variance", before.inputs, size, options, source=f"{call.node}")))
    values = vector(call, value, array)
    if op == "Div" and (at == 1 or not values.all()):
        call.refuse("it divides by a value of the model, or by zero")
    if op in ("Add", "Sub"):
        shift = -values if (op, at) == ("Sub", 0) else values
        scale = np.full(size, -1, np.float32) if (op, at) == ("Sub", 1) else None
    else:
        scale = 1 / values if op == "Div" else values
    if (scale is None or (scale == 1).all()) and (shift is None or not shift.any()):
        return value
    return value._replace(layer=layers.affine(value.layer, scale, shift, call.name))


def divided(call: Call) -> Lifted:
    """Div: by a constant, or by the deviation in a normalisation that is written out."""
    if isinstance(call.given(0), Value) and isinstance(call.given(1), Value):
        a, b = call.value(0), call.value(1)
        return found if (found := _normalised(call, a, b)) is not None else call.refuse("it divides a value by another")
    return with_constant(call)


def negative(call: Call) -> Lifted:
    """Neg."""
    value, size = numbers(call)
    layer = call.reading.layers.affine(value.layer, np.full(size, -1, np.float32), None, call.name)
    return value._replace(layer=layer)


# --- a layer normalisation that is written out: (x - mean) / sqrt(mean of (x - mean)² + ε)


def pseudo(call: Call, op: str, value: Value, **options: Any) -> Value:
    """A value that is none of `LayeredModel`, and a part of a normalisation."""
    layer = Layer(op, (value.layer,), value.size or 1, options, source=f"{call.node}")
    return value._replace(layer=call.reading.layers.add(call.name, layer))


def _normalised(call: Call, a: Value, b: Value) -> Value | None:
    """What a and b make together in a normalisation, or None."""
    found = call.reading.layers.found
    one, other, op = found.get(a.layer), found.get(b.layer), call.node.op
    if op == "Sub" and other is not None and other.op == "feature_mean" and other.inputs == (a.layer,):
        return pseudo(call, "centered", a)
    if op == "Mul" and a.layer == b.layer and one is not None and one.op == "centered":
        return pseudo(call, "square", a)
    if op == "Div" and one is not None and other is not None and (one.op, other.op) == ("centered", "deviation"):
        if not _same_mean(call, a.layer, other.inputs[0]):
            return None
        size = a.size or 1
        options = {"size": size, "epsilon": other.options["epsilon"], "scale": False, "bias": False}
        layer = Layer("layer_norm", one.inputs, size, options, source=f"{call.node}")
        return a._replace(layer=call.reading.layers.add(call.name, layer))
    return None


def _same_mean(call: Call, centered: str, source: str) -> bool:
    return call.reading.layers[centered].inputs == (source,)


def power(call: Call) -> Lifted:
    """Pow: the square in a normalisation."""
    value, exponent = call.value(), call.constant(1, "exponent")
    layer = call.reading.layers.found.get(value.layer)
    if layer is None or layer.op != "centered" or exponent.size != 1 or exponent.reshape(-1)[0] != 2:
        call.refuse("powers are understood in a layer normalisation alone")
    return pseudo(call, "square", value)


def root(call: Call) -> Lifted:
    """Sqrt: the deviation in a normalisation."""
    value = call.value()
    layer = call.reading.layers.found.get(value.layer)
    if layer is None or layer.op != "variance" or not layer.options["epsilon"] > 0:
        call.refuse("roots are understood in a layer normalisation alone")
    options = {"epsilon": layer.options["epsilon"]}
    own = Layer("deviation", layer.inputs, layer.size, options, source=f"{call.node}")
    return value._replace(layer=call.reading.layers.add(call.name, own))


def reduced(call: Call) -> Lifted:
    """ReduceMean, ReduceMax: over all steps; over the features, in a normalisation."""
    value, size = numbers(call)
    axes = call.integers("axes", 1, list(range(len(value.dims)))) or []
    (axis, *more) = [call.axis(axis, value.dims) for axis in axes] or [0]
    if not more and value.dims[axis] in ((TIME,), (REVERSED,)):
        kind = "mean" if call.node.op == "ReduceMean" else "max"
        kept = [()] if call.attribute("keepdims", 1) else []
        dims: Dims = (*value.dims[:axis], *kept, *value.dims[axis + 1 :])
        return call.layer(kind, [value], size, dims, size=size)
    layer = call.reading.layers.found.get(value.layer)
    if not more and call.node.op == "ReduceMean" and call.attribute("keepdims", 1) and is_whole(value, axis):
        if layer is not None and layer.op == "square":
            centered = call.reading.layers[layer.inputs[0]]
            own = Layer("variance", centered.inputs, size, {"epsilon": 0.0}, source=f"{call.node}")
            return value._replace(layer=call.reading.layers.add(call.name, own))
        return pseudo(call, "feature_mean", value)
    return call.refuse("it reduces other axes than the steps alone")


def layer_normalization(call: Call) -> Lifted:
    """LayerNormalization."""
    value, size = numbers(call)
    axis = call.axis(call.attribute("axis", -1), value.dims)
    if axis != len(value.dims) - 1 or not is_whole(value, axis):
        call.refuse("it normalises other axes than all features")
    return _norm(call, "layer_norm", value, size, scale=True, bias=call.given(2) is not None)


def batch_normalization(call: Call) -> Lifted:
    """BatchNormalization, outside of a training."""
    value, size = numbers(call)
    if call.attribute("training_mode", 0) or len(value.dims) < 2 or not is_whole(value, 1):
        call.refuse("it is in training, or normalises other axes than all features")
    found = _norm(call, "batch_norm", value, size)
    for name, index in (("mean", 3), ("variance", 4)):
        statistics = call.constant(index, name)
        call.reading.layers[found.layer].tensors[f"layer.{name}"] = scaled(statistics, size)
    return found


def _norm(call: Call, op: str, value: Value, size: int, **options: bool) -> Value:
    tensors, names = {}, {"weight": 1, "bias": 2}
    for name, index in names.items():
        if call.given(index) is not None:
            array = call.constant(index, name)
            if array.size not in (1, size):
                call.refuse(f"its {name} has {array.size} numbers for {size} features")
            tensors[f"layer.{name}"] = scaled(array.reshape(-1), size)
    epsilon = call.attribute("epsilon", 1e-5)
    layer = Layer(op, (value.layer,), size, {"size": size, "epsilon": epsilon} | options, tensors, f"{call.node}")
    return value._replace(layer=call.reading.layers.add(call.name, layer))


def activation(call: Call) -> Lifted:
    """A function of each number."""
    value, size = numbers(call)
    op, alpha = call.node.op, {}
    if op in WITH_ALPHA:
        function, default = WITH_ALPHA[op]
        alpha = {"alpha": call.attribute("alpha", default)}
    elif op == "Gelu":
        function = "gelu" if call.attribute("approximate", "none") == "none" else "gelu_tanh"
    elif op == "HardSigmoid":
        function = "hard_sigmoid"
        slope, offset = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
        if abs(slope - 1 / 6) > 1e-6 or offset != 0.5:
            call.refuse(f"its slope is {slope:g} and its offset {offset:g}, and elman's are 1/6 and 0.5")
    elif op == "Selu":
        function = "selu"
        if "alpha" in call.node.attributes or "gamma" in call.node.attributes:
            alpha_, gamma = call.attribute("alpha", 1.67326), call.attribute("gamma", 1.0507)
            if abs(alpha_ - 1.67326) > 1e-4 or abs(gamma - 1.0507) > 1e-4:
                call.refuse("its alpha and gamma are not the default ones")
    else:
        function = ACTIVATIONS[op]
    return call.layer("activation", [value], size, value.dims, function=function, **alpha)


def softmax(call: Call) -> Lifted:
    """Softmax and LogSoftmax over all features."""
    value, size = numbers(call)
    axis = call.axis(call.attribute("axis", -1 if call.reading.opset >= 13 else 1), value.dims)
    behind = () if call.reading.opset >= 13 else value.dims[axis + 1 :]  # old ones: over all that follows, too
    if not is_whole(value, axis) or any(behind):
        call.refuse(f"it is over {in_words(value.dims[axis])}, or a part of the features")
    function = "softmax" if call.node.op == "Softmax" else "log_softmax"
    return call.layer("activation", [value], size, value.dims, function=function)


OPERATORS: dict[str, Operator] = {
    "MatMul": matmul, "Gemm": gemm, "Div": divided, "Neg": negative, "Pow": power, "Sqrt": root,
    "ReduceMean": reduced, "ReduceMax": reduced, "LayerNormalization": layer_normalization,
    "BatchNormalization": batch_normalization, "Softmax": softmax, "LogSoftmax": softmax,
    **dict.fromkeys(COMBINATIONS, combined),
    **dict.fromkeys([*ACTIVATIONS, *WITH_ALPHA, "Gelu", "HardSigmoid", "Selu"], activation),
}  # fmt: skip
