"""Operators of constants alone, and of sizes: the arithmetic of shapes that exporters write."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from elman.arrays import Numbers
from elman.interop.onnx.axes import ONE, Size
from elman.interop.onnx.messages import DTYPES
from elman.interop.onnx.values import Counts, Filled, Lifted, NodeCall, Operator, Traced

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


def as_counts(value: Lifted | None) -> Counts | None:
    """Integers of a shape, or None."""
    if isinstance(value, Counts):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.ndim <= 1 and value.size <= 64:
        return Counts(tuple(Size(int(n)) for n in np.atleast_1d(value)), value.ndim == 0)
    return None


def shape_of(call: NodeCall) -> Lifted:
    """Shape: with symbols for what the graph leaves open."""
    sizes = call.sizes(call.value())
    return plain(Counts(sizes[call.attribute("start", 0) : call.attribute("end", FAR)]))


def plain(counts: Counts) -> Lifted:
    """An array, where all sizes are numbers."""
    if any(size.symbols for size in counts.sizes):
        return counts
    numbers = np.array([size.number for size in counts.sizes], "i8")
    return numbers[0] if counts.scalar else numbers


def of_counts(call: NodeCall) -> Lifted | None:
    """The value of an operator of sizes, or None where it is none."""
    given = [as_counts(value) for value in call.inputs if value is not None]
    if call.node.op not in OF_COUNTS or None in given:
        return None
    try:
        return OF_COUNTS[call.node.op](call, *given)
    except TypeError:  # of Python: the function takes others
        return call.refuse(f"it has {len(given)} inputs")


def _picked(call: NodeCall, sizes: Counts, index: Counts) -> Lifted:
    numbers = [size.number for size in index.sizes]
    if any(size.symbols for size in index.sizes) or any(not -len(sizes.sizes) <= n < len(sizes.sizes) for n in numbers):
        call.refuse("it takes a size that there is not")
    return plain(Counts(tuple(sizes.sizes[n] for n in numbers), index.scalar))


def _cut(call: NodeCall, sizes: Counts, *bounds_of: Counts) -> Lifted:
    starts, ends, _, steps = bounds(call, 1)
    if len(starts) != 1:
        call.refuse("it cuts a shape more than once")
    start, end, step = starts[0], ends[0], steps[0]
    return plain(Counts(sizes.sizes[start:end:step]))


def _pairs(call: NodeCall, a: Counts, b: Counts) -> list[tuple[Size, Size]]:
    """Sizes side by side, where one alone stands beside each of the others."""
    n = max(len(a.sizes), len(b.sizes))
    if {len(a.sizes), len(b.sizes)} - {1, n}:
        call.refuse("its shapes do not fit each other")
    return list(zip(*(part.sizes * (n if len(part.sizes) == 1 else 1) for part in (a, b)), strict=True))


def _product(call: NodeCall, a: Counts, b: Counts) -> Lifted:
    return plain(Counts(tuple(x.times(y) for x, y in _pairs(call, a, b)), a.scalar and b.scalar))


def _quotient(call: NodeCall, a: Counts, b: Counts) -> Lifted:
    found = [x.over(y) for x, y in _pairs(call, a, b)]
    if None in found:
        call.refuse("it divides sizes that the graph leaves open")
    return plain(Counts(tuple(size for size in found if size is not None), a.scalar and b.scalar))


def _equal(call: NodeCall, a: Counts, b: Counts) -> Lifted:
    # A size that is left open equals no number: exporters ask whether it is -1.
    return np.array([x == y for x, y in _pairs(call, a, b)])


OF_COUNTS: dict[str, Callable[..., Lifted]] = {
    "Identity": lambda call, sizes: sizes,
    "Cast": lambda call, sizes: sizes,
    "Unsqueeze": lambda call, sizes, *_: Counts(sizes.sizes),
    "Squeeze": lambda call, sizes, *_: Counts(sizes.sizes[:1], True) if len(sizes.sizes) == 1 else sizes,
    "Reshape": lambda call, sizes, shape: Counts(sizes.sizes, not shape.sizes),
    "Gather": _picked,
    "Slice": _cut,
    "Concat": lambda call, *parts: plain(Counts(tuple(size for part in parts for size in part.sizes))),
    "Mul": _product,
    "Div": _quotient,
    "Equal": _equal,
    "ReduceProd": lambda call, sizes, *_: plain(Counts((_whole(sizes),), not call.attribute("keepdims", 1))),
}


def _whole(sizes: Counts) -> Size:
    found = ONE
    for size in sizes.sizes:
        found = found.times(size)
    return found


def where(call: NodeCall) -> Lifted:
    """Where, of sizes by constant flags."""
    flags, one, other = call.constant(0, "condition"), as_counts(call.given(1)), as_counts(call.given(2))
    if one is None or other is None or flags.ndim != 1 or not len(flags) == len(one.sizes) == len(other.sizes):
        call.refuse("it chooses among values by a condition")
    return plain(Counts(tuple(a if flag else b for flag, a, b in zip(flags, one.sizes, other.sizes, strict=True))))


def filled(call: NodeCall) -> Lifted:
    """ConstantOfShape: never allocated where the shape depends on the input or is large."""
    value = call.attribute("value", np.zeros(1, "f4")).reshape(-1)
    sizes, shape = as_counts(call.given(0)), call.given(0)
    if sizes is None or len(value) != 1:
        call.refuse("its shape is no vector of integers")
    if isinstance(shape, np.ndarray) and all(0 <= n <= 64 for n in shape.tolist()) and prod(shape.tolist()) <= 4096:
        return np.full(shape.tolist(), value[0])
    return Filled(float(value[0]))


def expand(call: NodeCall) -> Lifted:
    """Expand: a constant number in a shape that depends on the input."""
    value, sizes = call.given(0), as_counts(call.given(1))
    if sizes is None:
        call.refuse("its shape is no vector of integers")
    if isinstance(value, Filled):
        return value
    if isinstance(value, Counts) and len(value.sizes) == 1:
        return Filled(value.sizes[0])
    if isinstance(value, np.ndarray) and value.size and (value == value.flat[0]).all():
        return Filled(float(value.flat[0]))
    if isinstance(value, Traced):
        return _expanded(call, value, sizes)
    return call.refuse("it repeats numbers that are not all the same")


def _expanded(call: NodeCall, value: Traced, sizes: Counts) -> Lifted:
    own = call.sizes(value)
    pairs = list(zip(own[::-1], sizes.sizes[::-1], strict=False))
    if len(sizes.sizes) > len(own) or any(size not in (ONE, there) for there, size in pairs):
        call.refuse("it repeats a value along an axis")
    return value


OPERATORS: dict[str, Operator] = {
    "Constant": constant,
    "Shape": shape_of,
    "Where": where,
    "ConstantOfShape": filled,
    "Expand": expand,
}
