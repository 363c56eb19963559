"""Operators that compute: linear layers, activations, normalisations, reductions and combinations."""

from __future__ import annotations

from math import prod

import numpy as np

from elman.arrays import Numbers
from elman.interop.onnx.axes import REVERSED, TIME, Dims, features
from elman.interop.onnx.drafts import Draft, scaled
from elman.interop.onnx.moving import in_words, same_place
from elman.interop.onnx.normalising import normalised, pseudo
from elman.interop.onnx.values import Lifted, NodeCall, Operator, Traced, is_whole

ACTIVATIONS = {
    "Tanh": "tanh", "Sigmoid": "sigmoid", "Relu": "relu", "Softplus": "softplus", "Softsign": "softsign",
    "HardSwish": "hard_silu", "Mish": "mish", "Exp": "exponential",
}  # fmt: skip
WITH_ALPHA = {"LeakyRelu": ("leaky_relu", 0.01), "Elu": ("elu", 1.0), "Celu": ("celu", 1.0)}
COMBINATIONS = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Max": "maximum", "Min": "minimum", "Sum": "add"}


def linear(call: NodeCall, value: Traced, weight: Numbers, bias: Numbers | None = None) -> Traced:
    """x W + b, where W is (inputs, outputs) and x's last dimension has all features."""
    if weight.ndim != 2 or not is_whole(value, -1) or weight.shape[0] != value.size or not weight.size:
        call.refuse(f"it multiplies {value.size} features, or a part of them, by a matrix {weight.shape}")
    size = weight.shape[1]
    call.spend(weight.size)
    tensors = {"layer.weight": np.ascontiguousarray(weight.T, np.float32)}
    if bias is not None:
        tensors["layer.bias"] = scaled(bias.reshape(-1), size)
    options = {"input_size": weight.shape[0], "output_size": size, "bias": bias is not None}
    layer = Draft("linear", (value.layer,), size, options, tensors, f"{call.node}")
    return Traced(call.trace.layers.add(call.name, layer), size, (*value.dims[:-1], features(size)))


def matmul(call: NodeCall) -> Lifted:
    """MatMul by a constant on the right."""
    weight = call.constant(1, "second factor")
    if weight.ndim > 2 and prod(weight.shape[:-2]) == 1:
        weight = weight.reshape(weight.shape[-2:])
    return linear(call, call.value(), weight)


def gemm(call: NodeCall) -> Lifted:
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


def vector(call: NodeCall, value: Traced, array: Numbers) -> Numbers:
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


def combined(call: NodeCall) -> Lifted:
    """Add, Sub, Mul, Max, Min of two values, or of a value and a constant."""
    if not all(isinstance(value, Traced) for value in call.inputs) or len(call.inputs) > 2:
        return with_constant(call)
    (a, size), (b, _) = call.numbers(0), call.numbers(1)
    if (found := normalised(call, a, b)) is not None:
        return found
    if same_place(a.dims) != same_place(b.dims) or a.size != b.size:
        call.refuse("it mixes axes (its inputs have them in different orders or sizes)")
    dims = a.dims if len(a.dims) >= len(b.dims) else b.dims
    return call.layer(COMBINATIONS[call.node.op], [a, b], size, dims)


def with_constant(call: NodeCall) -> Lifted:
    """Add, Sub, Mul or Div of a value and a constant."""
    op = call.node.op
    if len(call.inputs) != 2 or op not in ("Add", "Sub", "Mul", "Div"):
        call.refuse("it combines other values than two, or a constant")
    at = 0 if isinstance(call.inputs[0], Traced) else 1
    value, size = call.numbers(at)
    array = call.constant(1 - at, "other input")
    layers = call.trace.layers
    shift: Numbers | None = None
    scale: Numbers | None = None
    before = layers.found.get(value.layer)
    if before is not None and before.op == "variance" and op == "Add" and array.size == 1:
        options = {"epsilon": float(array.reshape(-1)[0])}
        return value._replace(
            layer=layers.add(call.name, Draft("variance", before.inputs, size, options, source=f"{call.node}"))
        )
    values = vector(call, value, array)
    if op == "Div" and (at == 1 or not values.all()):
        call.refuse("it divides by a value of the model, or by zero")
    if op in ("Add", "Sub"):
        shift = -values if (op, at) == ("Sub", 0) else values
        scale = np.full(size, -1, np.float32) if (op, at) == ("Sub", 1) else None
    else:
        scale = np.reciprocal(values) if op == "Div" else values
    if (scale is None or (scale == 1).all()) and (shift is None or not shift.any()):
        return value
    return value._replace(layer=layers.affine(value.layer, scale, shift, call.name))


def divided(call: NodeCall) -> Lifted:
    """Div: by a constant, or by the deviation in a normalisation that is written out."""
    if isinstance(call.given(0), Traced) and isinstance(call.given(1), Traced):
        a, b = call.value(0), call.value(1)
        return found if (found := normalised(call, a, b)) is not None else call.refuse("it divides a value by another")
    return with_constant(call)


def negative(call: NodeCall) -> Lifted:
    """Neg."""
    value, size = call.numbers()
    layer = call.trace.layers.affine(value.layer, np.full(size, -1, np.float32), None, call.name)
    return value._replace(layer=layer)


def reduced(call: NodeCall) -> Lifted:
    """ReduceMean, ReduceMax: over all steps; over the features, in a normalisation."""
    value, size = call.numbers()
    axes = call.integers("axes", 1, list(range(len(value.dims)))) or []
    (axis, *more) = [call.axis(axis, value.dims) for axis in axes] or [0]
    if not more and value.dims[axis] in ((TIME,), (REVERSED,)):
        kind = "mean" if call.node.op == "ReduceMean" else "max"
        kept = [()] if call.attribute("keepdims", 1) else []
        dims: Dims = (*value.dims[:axis], *kept, *value.dims[axis + 1 :])
        return call.layer(kind, [value], size, dims, size=size)
    layer = call.trace.layers.found.get(value.layer)
    if not more and call.node.op == "ReduceMean" and call.attribute("keepdims", 1) and is_whole(value, axis):
        if layer is not None and layer.op == "square":
            centered = call.trace.layers[layer.inputs[0]]
            own = Draft("variance", centered.inputs, size, {"epsilon": 0.0}, source=f"{call.node}")
            return value._replace(layer=call.trace.layers.add(call.name, own))
        return pseudo(call, "feature_mean", value)
    return call.refuse("it reduces other axes than the steps alone")


def activation(call: NodeCall) -> Lifted:
    """A function of each number."""
    value, size = call.numbers()
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


def softmax(call: NodeCall) -> Lifted:
    """Softmax and LogSoftmax over all features."""
    value, size = call.numbers()
    axis = call.axis(call.attribute("axis", -1 if call.trace.opset >= 13 else 1), value.dims)
    behind = () if call.trace.opset >= 13 else value.dims[axis + 1 :]  # old ones: over all that follows, too
    if not is_whole(value, axis) or any(behind):
        call.refuse(f"it is over {in_words(value.dims[axis])}, or a part of the features")
    function = "softmax" if call.node.op == "Softmax" else "log_softmax"
    return call.layer("activation", [value], size, value.dims, function=function)


OPERATORS: dict[str, Operator] = {
    "MatMul": matmul, "Gemm": gemm, "Div": divided, "Neg": negative,
    "ReduceMean": reduced, "ReduceMax": reduced,
    "Softmax": softmax, "LogSoftmax": softmax,
    **dict.fromkeys(COMBINATIONS, combined),
    **dict.fromkeys([*ACTIVATIONS, *WITH_ALPHA, "Gelu", "HardSigmoid", "Selu"], activation),
}  # fmt: skip
