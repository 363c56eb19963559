"""The weights of one layer in one direction as blocks: the rows of each gate, in elman's convention or a framework's.

Every block is (H, inputs), (H,), or the projection (P, H). Reading and writing of arrays are each other's inverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from elman.arrays import Numbers
from elman.errors import UserError
from elman.interop.convention import Array, Convention, Place

Blocks: TypeAlias = dict[Place, Numbers]


class Sizes(NamedTuple):
    """Of a layer in one direction."""

    D: int  # input
    H: int
    P: int  # of h: H, unless there is a projection

    def inputs(self, field: str) -> int | None:
        """The second size of a field of `Weights`; None for vectors."""
        return {"weight_ih": self.D, "weight_hh": self.P, "weight_hr": self.H}.get(field)


def read_sizes(convention: Convention, arrays: Mapping[str, Numbers]) -> Sizes:
    """The sizes that the first array, and the projection, have; `read_blocks` checks all others against these."""
    first, shape = convention.arrays[0], arrays[convention.arrays[0].name].shape
    if len(shape) != 2:
        raise UserError(f"{convention.name}: {first.name}", expected="two dimensions", got=f"the shape {shape}")
    rows, inputs = shape[::-1] if convention.is_transposed(first) else shape
    H = P = rows // len(convention.places(first)[0])
    if (hr := convention.held.get(("weight_hr", ""))) is not None and hr.name in arrays:
        P = arrays[hr.name].shape[-1 if convention.is_transposed(hr) else 0]
    return Sizes(inputs - P if "weight_hh" in first.fields else inputs, H, P)


def shape_of(convention: Convention, array: Array, sizes: Sizes) -> tuple[int, ...]:
    """The shape of an array of the framework."""
    parts = convention.places(array)
    rows = sizes.P if array.fields == ("weight_hr",) else len(parts[0]) * sizes.H
    inputs = [sizes.inputs(field) for field in array.fields]
    if None in inputs:
        return (len(parts), rows) if array.stacked else (len(parts) * rows,)
    shape = (rows, sum(size for size in inputs if size is not None))
    return shape[::-1] if convention.is_transposed(array) else shape


def read_blocks(convention: Convention, arrays: Mapping[str, Numbers], sizes: Sizes) -> Blocks:
    """The blocks that the arrays hold.

    Raises:
        UserError: an array of another shape.
    """
    blocks: Blocks = {}
    for array in convention.arrays:
        if array.name not in arrays:
            continue
        value, expected = arrays[array.name], shape_of(convention, array, sizes)
        if value.shape != expected:
            raise UserError(f"{convention.name}: {array.name}", expected=f"the shape {expected}", got=value.shape)
        for places, rows in zip(convention.places(array), _fields(convention, array, value, sizes), strict=True):
            units, inputs = len(rows) // len(places), rows.shape[1:]
            if convention.interleaved:
                each = rows.reshape(units, len(places), *inputs).swapaxes(0, 1)
            else:
                each = rows.reshape(len(places), units, *inputs)
            blocks.update(zip(places, each, strict=True))
    return blocks


def _fields(convention: Convention, array: Array, value: Numbers, sizes: Sizes) -> list[Numbers]:
    """The fields of `Weights` that an array holds, (rows, inputs) or (rows,) each."""
    if array.stacked:
        return list(value)
    inputs = [size for field in array.fields if (size := sizes.inputs(field)) is not None]
    if not inputs:
        return np.split(value, len(array.fields))
    return np.split(value.T if convention.is_transposed(array) else value, np.cumsum(inputs)[:-1], axis=1)


def write_arrays(convention: Convention, blocks: Blocks) -> dict[str, Numbers]:
    """The arrays of the framework, each contiguous; those of whose blocks there is none are left out."""
    arrays = {}
    for array in convention.arrays:
        parts = convention.places(array)
        if not all(place in blocks for places in parts for place in places):
            continue
        fields = []
        for places in parts:
            each = np.stack([blocks[place] for place in places], axis=1 if convention.interleaved else 0)
            fields.append(each.reshape(-1, *each.shape[2:]))
        if array.stacked:
            whole = np.stack(fields)
        else:
            whole = np.concatenate(fields, axis=-1 if fields[0].ndim == 2 else 0)
            whole = whole.T if convention.is_transposed(array) else whole
        # Writers of files have stored transposed views wrongly.
        arrays[array.name] = np.ascontiguousarray(whole)
    return arrays
