"""The values of nodes whose inputs are constants."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from elman.arrays import Numbers
from elman.interop.onnx.messages import DTYPES
from elman.interop.onnx.values import Lifted, NodeCall, Operator

FAR = 1 << 31  # beyond every end


def constant(call: NodeCall) -> Lifted:
    """Constant."""
    dtypes = {"value": None, "value_float": "f4", "value_floats": "f4", "value_int": "i8", "value_ints": "i8"}
    for name, dtype in dtypes.items():
        value = call.node.attributes.get(name)
        if isinstance(value, np.ndarray | float | int) or (isinstance(value, list) and str not in map(type, value)):
            return np.asarray(value, dtype)
    return call.refuse("it has no value that is understood")


def folded(call: NodeCall, arrays: list[Numbers]) -> Lifted | None:
    """The value of a node whose inputs are constants, or None for an operator that is not computed here."""
    function = FOLDS.get(call.node.op)
    if function is None:
        return None
    try:
        call.spend(_numbers(call, arrays))
        found = function(call, *arrays)
    except (ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError) as error:
        return call.refuse(f"its constants do not fit ({' '.join(str(error).split())})")
    return found


def _numbers(call: NodeCall, arrays: list[Numbers]) -> int:
    """The most numbers that a node computes of constants."""
    if call.node.op == "Gather":
        return arrays[0].size * max(1, arrays[1].size)
    if call.node.op == "Expand":
        return abs(prod(int(n) for n in arrays[1].reshape(-1)[:64])) * arrays[0].size
    if call.node.op in ARITHMETIC:
        return prod(np.broadcast_shapes(*(array.shape for array in arrays)))
    return sum(array.size for array in arrays)


def _cast(call: NodeCall, x: Numbers) -> Numbers:
    dtype = DTYPES.get(call.attribute("to", 1))
    return x.astype(dtype) if dtype else call.refuse("it casts to another dtype than NumPy has")


def _reshape(call: NodeCall, x: Numbers, shape: Numbers) -> Numbers:
    sizes = [x.shape[at] if size == 0 else int(size) for at, size in enumerate(shape)]
    return x.reshape(sizes)


def _axes(call: NodeCall, rest: tuple[Numbers, ...]) -> tuple[int, ...] | None:
    axes = call.node.attributes.get("axes", rest[0].tolist() if rest else None)
    return None if axes is None else tuple(np.atleast_1d(axes).tolist())


def _slice(call: NodeCall, x: Numbers, *given: Numbers) -> Numbers:
    starts, ends, axes, steps = bounds(call, x.ndim)
    index: list[Any] = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(start, None if step < 0 and end < -x.shape[axis] else end, step)
    return x[tuple(index)]


def bounds(call: NodeCall, rank: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Starts, ends, axes and steps of a Slice."""
    starts, ends = call.integers("starts", 1) or [], call.integers("ends", 2) or []
    axes = call.integers("axes", 3, list(range(len(starts)))) or []
    steps = call.integers("steps", 4, [1] * len(starts)) or []
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        call.refuse("its starts, ends, axes and steps do not fit each other")
    return starts, ends, [call.axis(axis, range(rank)) for axis in axes], steps


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Equal": np.equal, "Where": np.where,
    "Div": lambda a, b: a // b if a.dtype.kind in "iu" else a / b,
}  # fmt: skip
FOLDS: dict[str, Callable[..., Any]] = {
    "Identity": lambda call, x: x,
    "Cast": _cast,
    "Reshape": _reshape,
    "Transpose": lambda call, x: x.transpose(call.node.attributes.get("perm")),
    "Squeeze": lambda call, x, *rest: x.squeeze(_axes(call, rest)),
    "Unsqueeze": lambda call, x, *rest: np.expand_dims(x, _axes(call, rest) or ()),
    "Slice": _slice,
    "Gather": lambda call, x, index: np.take(x, index, axis=call.attribute("axis", 0)),
    "Concat": lambda call, *parts: np.concatenate(parts, axis=call.attribute("axis", 0)),
    "Shape": lambda call, x: np.array(x.shape[call.attribute("start", 0) : call.attribute("end", FAR)], "i8"),
    "Expand": lambda call, x, shape: np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape.tolist()))),
    "Neg": lambda call, x: -x,
    "Sqrt": lambda call, x: np.sqrt(x),
    **{name: lambda call, *given, f=function: f(*given) for name, function in ARITHMETIC.items()},
}
OPERATORS: dict[str, Operator] = {"Constant": constant}
