"""Operators that take a part of a value, or put parts together: steps, features, rows of a table."""

from __future__ import annotations

from math import prod

import numpy as np

from elman.interop.onnx.axes import BATCH, REVERSED, TIME, Atom, features, joined
from elman.interop.onnx.constants import FAR, bounds
from elman.interop.onnx.drafts import INPUT
from elman.interop.onnx.moving import in_words
from elman.interop.onnx.shapes import as_counts
from elman.interop.onnx.values import Filled, Lifted, NodeCall, Operator, Traced


def concat(call: NodeCall) -> Lifted:
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
    layer = call.trace.layers.concat([value.layer for value in values], call.name)
    dims = list(first.dims)
    dims[axis] = joined([Atom("features", total, inner)])
    return Traced(layer, total * inner, tuple(dims))


def taken(call: NodeCall, value: Traced, axis: int, start: int, stop: int) -> Traced:
    """The numbers from `start` to `stop` of a dimension that is of features, and their outermost."""
    (atom,) = joined(value.dims[axis]) or (Atom("features", 1, value.size or 1),)
    if value.size is None or atom.axis != "features" or atom.size * atom.stride != value.size:
        call.refuse(f"it takes a part of {in_words(value.dims[axis])}, or mixes axes")
    if not 0 <= start < stop <= atom.size:
        call.refuse(f"it takes numbers from {start} to {stop} of {atom.size}")
    layer = call.trace.layers.slice(value.layer, start * atom.stride, stop * atom.stride)
    dims = list(value.dims)
    dims[axis] = joined([Atom("features", stop - start, atom.stride)])
    return Traced(layer, (stop - start) * atom.stride, tuple(dims))


def step(call: NodeCall, value: Traced, axis: int, index: int) -> Traced:
    """The first or the last step, on an axis of size 1."""
    ends = {(TIME, 0): "first", (TIME, -1): "last", (REVERSED, 0): "last", (REVERSED, -1): "first"}
    which = ends.get((value.dims[axis][0], index))
    if value.size is None or value.layer == INPUT or which is None:
        call.refuse("it takes a step that is neither the first nor the last, or a step of the input")
    layer = call.trace.layers.step(value.layer, which, f"{call.node}")
    return Traced(layer, value.size, (*value.dims[:axis], (), *value.dims[axis + 1 :]))


def slice_(call: NodeCall) -> Lifted:
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


def _far(call: NodeCall, value: Traced) -> Lifted:
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


def gather(call: NodeCall) -> Lifted:
    """Gather: the vectors of tokens, or one index of an axis."""
    data, index = call.given(0), call.given(1)
    if isinstance(data, np.ndarray) and isinstance(index, Traced):
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


def embedding(call: NodeCall, table: np.ndarray, tokens: Traced) -> Traced:
    """The rows of a table."""
    if tokens.size is not None or table.ndim != 2 or call.attribute("axis", 0) % 2 or not table.size:
        call.refuse("it looks up what is not a table of vectors, by what are not tokens")
    rows, size = table.shape
    call.trace.rows.append(rows)
    found = call.layer("embedding", [tokens], size, (*tokens.dims, features(size)), rows=rows, size=size)
    call.trace.layers[found.layer].tensors["layer.weight"] = np.ascontiguousarray(table, np.float32)
    return found


def split(call: NodeCall) -> Lifted | list[Lifted]:
    """Split: along features."""
    if isinstance(given := call.given(0), Filled):
        return [given] * len(call.node.outputs)
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
    return [taken(call, value, axis, end - part, end) for part, end in zip(parts, ends, strict=True)]


OPERATORS: dict[str, Operator] = {
    "Concat": concat,
    "Slice": slice_,
    "Gather": gather,
    "Split": split,
}
