"""Functions of torch as nodes of a graph: `FUNCTIONS[name](graph, *arguments)`, with torch's arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from elman.export.onnx.graph import Graph, Value


def node(op: str) -> Callable[..., Value]:
    """An operator of the same arguments."""
    return lambda graph, *values: graph.add(op, *values, dtype="")


def swapped(op: str) -> Callable[..., Value]:
    """An operator of two values in the other order."""
    return lambda graph, a, b: graph.add(op, b, a)


def linear(graph: Graph, x: Value, weight: Any, bias: Any = None) -> Value:
    """x Wᵀ + b, over the last dimension."""
    product = graph.add("MatMul", x, transposed(graph, weight))
    return product if bias is None else graph.add("Add", product, graph.weight(bias))


def transposed(graph: Graph, weight: Any) -> Value:
    """Wᵀ as a constant, or, where W itself is a constant already, as its transpose."""
    array = weight.detach().cpu().numpy()
    if graph.holds(array):
        return graph.add("Transpose", graph.weight(weight), perm=[1, 0])
    return graph.weight(np.ascontiguousarray(array.T), graph.root.names.get(id(weight), ""))


def layer_norm(graph: Graph, x: Value, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Value:
    """Mean 0 and variance 1 over the last dimension; the operator of that name is younger than our opset."""
    centred = x - graph.add("ReduceMean", x, axes=[-1])
    variance = graph.add("ReduceMean", centred * centred, axes=[-1])
    normed = centred / graph.add("Sqrt", variance + eps)
    if weight is not None:
        normed = normed * graph.weight(weight)
    return normed if bias is None else normed + graph.weight(bias)


def gelu(graph: Graph, x: Value, approximate: str = "none") -> Value:
    """x Φ(x), or an approximation by tanh."""
    if approximate == "tanh":
        return x * 0.5 * ((x + x * x * x * 0.044715) * float((2 / np.pi) ** 0.5)).tanh() + x * 0.5
    return x * 0.5 * (graph.add("Erf", x * float(0.5**0.5)) + 1.0)


def chunk(graph: Graph, x: Value, count: int, axis: int = -1) -> list[Value]:
    """Equal parts."""
    return graph.add_many("Split", count, x, axis=axis)


def logaddexp(graph: Graph, a: Value, b: Any) -> Value:
    """ln(eᵃ + eᵇ), without overflow."""
    difference = a - b
    return graph.add("Max", a, b) + graph.add("Log", (-graph.add("Abs", difference)).exp() + 1.0)


def masked_fill(graph: Graph, x: Value, mask: Value, number: float) -> Value:
    """The number where the mask is true."""
    return graph.add("Where", mask, np.array(number, x.dtype), x, dtype=x.dtype)


def where(graph: Graph, mask: Value, a: Any, b: Any) -> Value:
    """a where the mask is true, else b."""
    dtype = next((each.dtype for each in (a, b) if hasattr(each, "graph")), "float32")
    a, b = (np.array(each, dtype) if isinstance(each, int | float) else each for each in (a, b))
    return graph.add("Where", mask, a, b, dtype=dtype)


def leaky_relu(graph: Graph, x: Value, negative_slope: float = 0.01, *_: Any, **__: Any) -> Value:
    """x, and below 0 a share of it."""
    return graph.add("LeakyRelu", x, alpha=float(negative_slope))


def celu(graph: Graph, x: Value, alpha: float = 1.0, *_: Any, **__: Any) -> Value:
    """max(0, x) + min(0, α (exp(x/α) − 1))."""
    return x.maximum(0.0) + ((x / float(alpha)).minimum(0.0).exp() - 1.0) * float(alpha)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": node("Add"), "radd": node("Add"), "sub": node("Sub"), "rsub": swapped("Sub"), "mul": node("Mul"),
    "rmul": node("Mul"), "truediv": node("Div"), "div": node("Div"), "rtruediv": swapped("Div"),
    "matmul": node("MatMul"), "neg": node("Neg"), "mod": node("Mod"), "maximum": node("Max"), "minimum": node("Min"),
    "eq": node("Equal"), "lt": node("Less"), "le": node("LessOrEqual"), "gt": node("Greater"),
    "ge": node("GreaterOrEqual"), "and": node("And"), "or": node("Or"), "invert": node("Not"),
    "ne": lambda graph, a, b: graph.add("Not", graph.add("Equal", a, b)),
    "sigmoid": node("Sigmoid"), "tanh": node("Tanh"), "relu": node("Relu"), "exp": node("Exp"), "log": node("Log"),
    "softplus": node("Softplus"), "sqrt": node("Sqrt"), "sin": node("Sin"), "cos": node("Cos"), "abs": node("Abs"),
    "softmax": lambda graph, x, dim, **_: graph.add("Softmax", x, axis=dim),
    "log_softmax": lambda graph, x, dim, **_: graph.add("LogSoftmax", x, axis=dim),
    "hardsigmoid": lambda graph, x, *_, **__: (x * (1 / 6) + 0.5).maximum(0.0).minimum(1.0),
    "hardtanh": lambda graph, x, *_, **bounds: x.maximum(-1.0).minimum(1.0),
    "relu6": lambda graph, x, *_, **__: x.maximum(0.0).minimum(6.0),
    "hardswish": lambda graph, x, *_, **__: x * (x * (1 / 6) + 0.5).maximum(0.0).minimum(1.0),
    "silu": lambda graph, x, *_, **__: x * x.sigmoid(), "logsigmoid": lambda graph, x: -(-x).softplus(),
    "log_sigmoid": lambda graph, x: -(-x).softplus(), "softsign": node("Softsign"),
    "mish": lambda graph, x, *_, **__: x * x.softplus().tanh(), "selu": lambda graph, x, *_, **__: graph.add("Selu", x),
    "leaky_relu": leaky_relu,
    "elu": lambda graph, x, alpha=1.0, *_, **__: graph.add("Elu", x, alpha=float(alpha)), "celu": celu,
    "new_zeros": lambda graph, x, shape: graph.weight(np.zeros(shape, x.dtype)),
    "linear": linear, "layer_norm": layer_norm, "gelu": gelu, "chunk": chunk, "logaddexp": logaddexp,
    "masked_fill": masked_fill, "where": where,
}  # fmt: skip
