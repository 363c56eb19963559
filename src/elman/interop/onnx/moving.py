"""Operators that move the axes of a value and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elman.interop.onnx.axes import ONE, REVERSED, TIME, Atom, Dims
from elman.interop.onnx.shapes import as_counts
from elman.interop.onnx.values import Filled, Lengths, Lifted, NodeCall, Operator, Traced


def same(call: NodeCall) -> Lifted:
    """Identity."""
    value = call.given(0)
    return value if value is not None else call.refuse("it has no input")


def cast(call: NodeCall) -> Lifted:
    """Cast: tokens stay tokens, numbers stay numbers."""
    value = same(call)
    if isinstance(value, Traced) and value.size is not None and call.attribute("to", 1) not in (1, 10, 11):
        call.refuse("it makes integers of numbers")
    return value


def transpose(call: NodeCall) -> Lifted:
    """Transpose."""
    if isinstance(value := call.given(0), Filled):
        return value
    value = call.value()
    perm = call.integers("perm", len(call.inputs)) or list(range(len(value.dims)))[::-1]
    if sorted(perm) != list(range(len(value.dims))):
        call.refuse(f"its perm {perm} does not fit {len(value.dims)} dimensions")
    return value._replace(dims=tuple(value.dims[axis] for axis in perm))


def squeeze(call: NodeCall) -> Lifted:
    """Squeeze."""
    if isinstance(value := call.given(0), Filled | Lengths):
        return value
    value = call.value()
    axes = call.integers("axes", 1)
    if axes is None:
        return value._replace(dims=tuple(dim for dim in value.dims if dim))
    gone = {call.axis(axis, value.dims) for axis in axes}
    for axis in sorted(gone):
        if value.dims[axis]:
            call.refuse(f"its axis {axis} is {in_words(value.dims[axis])}, which may be longer than 1")
    return value._replace(dims=tuple(dim for axis, dim in enumerate(value.dims) if axis not in gone))


def unsqueeze(call: NodeCall) -> Lifted:
    """Unsqueeze."""
    if isinstance(value := call.given(0), Filled | Lengths):
        return value
    value = call.value()
    axes = call.integers("axes", 1) or []
    rank = len(value.dims) + len(axes)
    added, rest = {call.axis(axis, range(rank)) for axis in axes}, list(value.dims)
    if len(added) < len(axes) or rank > 8:
        call.refuse(f"its axes {axes} do not fit {len(value.dims)} dimensions")
    return value._replace(dims=tuple(() if axis in added else rest.pop(0) for axis in range(rank)))


def reshape(call: NodeCall) -> Lifted:
    """Reshape."""
    if isinstance(value := call.given(0), Filled | Lengths):
        return value
    value, target = call.value(), as_counts(call.given(1))
    if target is None:
        call.refuse("its shape is no vector of integers")
    own, sizes = call.sizes(value), list(target.sizes)
    if not call.attribute("allowzero", 0):
        if any(size.number == 0 and axis >= len(own) for axis, size in enumerate(sizes)):
            call.refuse("its shape keeps a dimension that there is not")
        sizes = [own[axis] if size.number == 0 else size for axis, size in enumerate(sizes)]
    return call.reshape(value, sizes)


def flatten(call: NodeCall) -> Lifted:
    """Flatten."""
    value = call.value()
    axis, sizes = call.attribute("axis", 1), call.sizes(value)
    axis = axis if axis == len(sizes) else call.axis(axis, sizes)
    parts = []
    for part in (sizes[:axis], sizes[axis:]):
        whole = ONE
        for size in part:
            whole = whole.times(size)
        parts.append(whole)
    found = call.reshape(value, parts)
    if any(atom in (TIME, REVERSED) for atom in found.dims[1]):
        call.refuse("it makes features of the steps, and their number must be open")
    return found


def dropout(call: NodeCall) -> Lifted:
    """Dropout: nothing outside of a training."""
    value = call.given(0)
    training, ratio = call.given(2), call.attribute("ratio", 0.5)
    if training is not None and not (isinstance(training, np.ndarray) and not training.any()):
        call.refuse("it is in training")
    if isinstance(given := call.given(1), np.ndarray) and given.size == 1:
        ratio = float(given.reshape(-1)[0])
    if isinstance(value, Traced) and value.size is not None and 0 < ratio < 1:
        value = call.layer("dropout", [value], value.size, value.dims, p=round(float(ratio), 6))
    return value if value is not None else call.refuse("it has no input")


def in_words(dim: Sequence[Atom]) -> str:
    """A dimension, for people."""
    return " and ".join(dict.fromkeys("time" if atom == REVERSED else atom.axis for atom in dim)) or "an axis of size 1"


def same_place(dims: Dims) -> Dims:
    """Without the axes of size 1 in front, which broadcasting adds."""
    at = 0
    while at < len(dims) - 1 and not dims[at]:
        at += 1
    return dims[at:]


OPERATORS: dict[str, Operator] = {
    "Identity": same,
    "Cast": cast,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Reshape": reshape,
    "Flatten": flatten,
    "Dropout": dropout,
}
