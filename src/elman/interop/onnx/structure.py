"""Operators that move the axes of a value and compute nothing, or take a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from elman.interop.onnx.axes import BATCH, ONE, REVERSED, TIME, Atom, Dims, Size, features, joined
from elman.interop.onnx.constants import as_counts, bounds
from elman.interop.onnx.layers import INPUT, scaled
from elman.interop.onnx.values import Call, Filled, Lengths, Lifted, Operator, Value

FAR = 1 << 31  # beyond every end


def same(call: Call) -> Lifted:
    """Identity."""
    value = call.given(0)
    return value if value is not None else call.refuse("it has no input")


def cast(call: Call) -> Lifted:
    """Cast: tokens stay tokens, numbers stay numbers."""
    value = same(call)
    if isinstance(value, Value) and value.size is not None and call.attribute("to", 1) not in (1, 10, 11):
        call.refuse("it makes integers of numbers")
    return value


def transpose(call: Call) -> Lifted:
    """Transpose."""
    if isinstance(value := call.given(0), Filled):
        return value
    value = call.value()
    perm = call.node.attributes.get("perm") or list(range(len(value.dims)))[::-1]
    if sorted(perm) != list(range(len(value.dims))):
        call.refuse(f"its perm {perm} does not fit {len(value.dims)} dimensions")
    return value._replace(dims=tuple(value.dims[axis] for axis in perm))


def squeeze(call: Call) -> Lifted:
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


def unsqueeze(call: Call) -> Lifted:
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


def reshape(call: Call) -> Lifted:
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
        copied = [own[axis] if size.number == 0 else size for axis, size in enumerate(sizes)]
        # What is kept is named by its axes, so that nothing has to be guessed.
        sizes = copied
    return call.reshape(value, sizes)


def flatten(call: Call) -> Lifted:
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


def concat(call: Call) -> Lifted:
    """Concat: features behind one another, or values on an axis of their own."""
    values = [call.value(index) for index in range(len(call.inputs))]
    axis = call.axis(call.attribute("axis", 0), values[0].dims)
    if len(values) == 1:
        return values[0]
    first, inner, total = values[0], 0, 0
    for value in values:
        atoms = joined(value.dims[axis]) if len(value.dims) == len(first.dims) else (BATCH,)
        if value.size is None or len(atoms) > 1 or any(atom.axis != "features" for atom in atoms):
            call.refuse("it joins values along the batch or the time, or mixes axes")
        count = atoms[0].size if atoms else 1
        stride = value.size // count
        others = [tuple(dim) for at, dim in enumerate(value.dims) if at != axis]
        same_others = others == [tuple(dim) for at, dim in enumerate(first.dims) if at != axis]
        if (atoms and atoms[0].stride != stride) or (inner and stride != inner) or not same_others:
            call.refuse("it mixes axes (its inputs have them in different orders)")
        inner, total = stride, total + count
    layer = call.reading.layers.concat([value.layer for value in values], call.name)
    dims = list(first.dims)
    dims[axis] = joined([Atom("features", total, inner)])
    return Value(layer, total * inner, tuple(dims))


def taken(call: Call, value: Value, axis: int, start: int, stop: int) -> Value:
    """The numbers from `start` to `stop` of a dimension that is of features, and their outermost."""
    (atom,) = joined(value.dims[axis]) or (Atom("features", 1, value.size or 1),)
    if value.size is None or atom.axis != "features" or atom.size * atom.stride != value.size:
        call.refuse(f"it takes a part of {in_words(value.dims[axis])}, or mixes axes")
    if not 0 <= start < stop <= atom.size:
        call.refuse(f"it takes numbers from {start} to {stop} of {atom.size}")
    layer = call.reading.layers.slice(value.layer, start * atom.stride, stop * atom.stride)
    dims = list(value.dims)
    dims[axis] = joined([Atom("features", stop - start, atom.stride)])
    return Value(layer, (stop - start) * atom.stride, tuple(dims))


def step(call: Call, value: Value, axis: int, index: int) -> Value:
    """The first or the last step, on an axis of size 1."""
    ends = {(TIME, 0): "first", (TIME, -1): "last", (REVERSED, 0): "last", (REVERSED, -1): "first"}
    which = ends.get((value.dims[axis][0], index))
    if value.size is None or value.layer == INPUT or which is None:
        call.refuse("it takes a step that is neither the first nor the last, or a step of the input")
    layer = call.reading.layers.step(value.layer, which, f"{call.node}")
    return Value(layer, value.size, (*value.dims[:axis], (), *value.dims[axis + 1 :]))


def slice_(call: Call) -> Lifted:
    """Slice."""
    if isinstance(value := call.given(0), Filled):
        return value
    value = call.value()
    ends = call.given(2)
    if not isinstance(ends, np.ndarray) and ends is not None:  # as x[:T], where T is the number of all steps
        call.inputs = [*call.inputs[:2], _far(call, value), *call.inputs[3:]]
    for start, end, axis, by in zip(*bounds(call, len(value.dims)), strict=True):
        dim = value.dims[axis]
        atom = dim[0] if len(dim) == 1 else None
        if start == 0 and end >= FAR - 1 and by == 1:
            continue
        if atom in (TIME, REVERSED):
            if by == -1 and (start == -1 or start >= FAR - 1) and end < -FAR + 1:
                turned = REVERSED if atom == TIME else TIME
                value = value._replace(dims=(*value.dims[:axis], (turned,), *value.dims[axis + 1 :]))
            elif by == 1 and ((start == -1 and end >= FAR - 1) or (start, end) == (0, 1)):
                value = step(call, value, axis, start)
            else:
                call.refuse("it takes a part of the steps")
            continue
        if atom == BATCH or by != 1:
            call.refuse("it takes a part of the batch, or numbers in another order")
        size = prod(each.size for each in dim)
        start, end = (min(max(n + size if n < 0 else n, 0), size) for n in (start, end))
        value = taken(call, value, axis, start, end)
    return value


def _far(call: Call, value: Value) -> Lifted:
    counts, axes = as_counts(call.given(2)), call.integers("axes", 3, list(range(len(value.dims)))) or []
    if counts is None or len(counts.sizes) > len(axes):
        call.refuse("its ends are computed from the input")
    sizes, found = call.sizes(value), []
    for size, axis in zip(counts.sizes, axes, strict=False):
        whole = size == sizes[call.axis(axis, sizes)]
        if size.symbols and not whole:
            call.refuse("it takes a part of an axis whose size is open")
        found.append(FAR if whole else size.number)
    return np.array(found, "i8")


def gather(call: Call) -> Lifted:
    """Gather: the vectors of tokens, or one index of an axis."""
    data, index = call.given(0), call.given(1)
    if isinstance(data, np.ndarray) and isinstance(index, Value):
        return embedding(call, data, index)
    if isinstance(data, Filled):
        return data
    value, number = call.value(), call.constant(1, "index")
    if number.size != 1 or number.ndim > 1 or number.dtype.kind not in "iu":
        call.refuse("it takes several indices of a value")
    axis, at = call.axis(call.attribute("axis", 0), value.dims), int(number.reshape(-1)[0])
    dim = value.dims[axis]
    if dim and dim[0] in (TIME, REVERSED) and len(dim) == 1:
        found = step(call, value, axis, at)
    elif any(atom.axis != "features" for atom in dim):
        found = call.refuse("it takes a row of the batch, or mixes axes")
    else:
        size = prod(atom.size for atom in dim)
        at = at + size if at < 0 else at
        found = taken(call, value, axis, at, at + 1) if dim else value
    kept = found.dims[axis] if number.ndim else None
    return found._replace(dims=(*found.dims[:axis], *([] if kept is None else [kept]), *found.dims[axis + 1 :]))


def embedding(call: Call, table: np.ndarray, tokens: Value) -> Value:
    """The rows of a table."""
    if tokens.size is not None or table.ndim != 2 or call.attribute("axis", 0) % 2 or not table.size:
        call.refuse("it looks up what is not a table of vectors, by what are not tokens")
    rows, size = table.shape
    call.reading.rows.append(rows)
    found = call.layer("embedding", [tokens], size, (*tokens.dims, features(size)), rows=rows, size=size)
    call.reading.layers[found.layer].tensors["layer.weight"] = np.ascontiguousarray(table, np.float32)
    return found


def split(call: Call) -> Lifted | tuple[Lifted, ...]:
    """Split: along features."""
    if isinstance(given := call.given(0), Filled):
        return (given,) * len(call.node.outputs)
    value = call.value()
    axis, outputs = call.axis(call.attribute("axis", 0), value.dims), len(call.node.outputs)
    size = prod(atom.size for atom in value.dims[axis])
    parts = call.integers("split", 1)
    if parts is None:
        each = -(-size // max(1, call.attribute("num_outputs", outputs)))
        parts = [min(each, size - at) for at in range(0, size, each)]
    if sum(parts) != size or len(parts) != outputs:
        call.refuse(f"it splits {size} numbers into {parts}")
    ends = np.cumsum(parts).tolist()
    return tuple(taken(call, value, axis, end - part, end) for part, end in zip(parts, ends, strict=True))


def dropout(call: Call) -> Lifted | tuple[Lifted, ...]:
    """Dropout: nothing outside of a training."""
    value = call.given(0)
    training, ratio = call.given(2), call.node.attributes.get("ratio", 0.5)
    if training is not None and not (isinstance(training, np.ndarray) and not training.any()):
        call.refuse("it is in training")
    if isinstance(given := call.given(1), np.ndarray) and given.size == 1:
        ratio = float(given.reshape(-1)[0])
    if isinstance(value, Value) and value.size is not None and 0 < ratio < 1:
        value = call.layer("dropout", [value], value.size, value.dims, p=round(float(ratio), 6))
    return (value if value is not None else call.refuse("it has no input"),)


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
    "Identity": same, "Cast": cast, "Transpose": transpose, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Reshape": reshape, "Flatten": flatten, "Concat": concat, "Slice": slice_, "Gather": gather, "Split": split,
    "Dropout": dropout,
}  # fmt: skip
__all__ = ["OPERATORS", "Size", "in_words", "same_place", "scaled"]
