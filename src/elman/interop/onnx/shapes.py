"""Operators of sizes: the arithmetic of shapes that exporters write, where the graph leaves sizes open."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from elman.interop.onnx.axes import ONE, Size
from elman.interop.onnx.constants import FAR, bounds
from elman.interop.onnx.values import Counts, Filled, Lifted, NodeCall, Operator, Traced


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
    "Shape": shape_of,
    "Where": where,
    "ConstantOfShape": filled,
    "Expand": expand,
}
