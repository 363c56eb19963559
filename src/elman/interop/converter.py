"""From a framework's arrays to a layer of elman and back: exact, or refused with the reason.

The converter reads the table of conventions and knows no framework by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from elman.arrays import Numbers
from elman.cells import Weights, cell_named
from elman.errors import UserError
from elman.interop.blocks import Blocks, Sizes, read_blocks, read_sizes, write_arrays
from elman.interop.convention import PEEPHOLES, Convention
from elman.interop.frameworks import convention_named
from elman.interop.naming import flatten, full_names, join_directions, recognise, split_directions
from elman.interop.terms import BIASES, to_ours, to_theirs
from elman.nn import Recurrent, layer_of
from elman.nn.parameters import suffix

CHANGED = "where a call had other arguments, give convention_named(NAME, field=value)"
DIFFERENCE = {"reset_after": ", and (r * h) W is not r * (h W)"}
DTYPES = ("float16", "float32", "float64")


class Arrays(dict[str, Numbers]):
    """The arrays of a framework by their names, each contiguous.

    `folds` says in words what of the layer is no longer by itself: the outputs are the same, a training goes another
    way, and the arrays read back give other parameters.

    >>> from elman.nn import LSTM
    >>> arrays = to_arrays(LSTM(2, 3), "keras.LSTM")
    >>> {name: array.shape for name, array in arrays.items()}
    {'cell.kernel': (2, 12), 'cell.recurrent_kernel': (3, 12), 'cell.bias': (12,)}
    >>> arrays.folds
    ('bias_hh_l0 of i, f, g, o is added to bias_ih_l0',)
    """

    folds: tuple[str, ...] = ()


def from_arrays(convention: str | Convention, arrays: Mapping[str, Any], **options: Any) -> Recurrent:
    """A layer of `elman.nn` that computes the same as a framework's layer of these weights.

    Args:
        convention: a name of `elman interop`, or a `Convention`, as `convention_named` changes one.
        arrays: arrays of one of float16, float32 and float64 by the names that `elman interop NAME` shows, under any
            path; mappings in mappings, too. The sizes, layers and directions are those of the arrays.
        options: of the layer, as `batch_first=True`.

    Raises:
        UserError: other names, shapes or dtypes than the convention has; or no layer of elman computes the same.

    >>> layer = from_arrays("keras.GRU", {"kernel": np.ones((2, 12)), "recurrent_kernel": np.ones((4, 12))})
    >>> layer
    GRU(2, 4, bias=False)
    >>> [*to_arrays(layer, "torch.GRU")]
    ['weight_ih_l0', 'weight_hh_l0']
    """
    convention = convention_named(convention) if isinstance(convention, str) else convention
    if reason := convention.why_not():
        raise UserError(f"{convention.name} has no equal in elman: {reason}", remedy=CHANGED)
    given = flatten(arrays)
    dtypes = sorted({array.dtype.name for array in given.values()})
    if len(dtypes) != 1 or dtypes[0] not in DTYPES:
        expected, got = f"one dtype of {', '.join(DTYPES)}", " and ".join(dtypes) or "no array"
        raise UserError(f"arrays of {convention.name}", expected=expected, got=got, remedy='as array.astype("float32")')
    levels = recognise(convention, split_directions(given) if convention.namings[0].is_split else given)
    (last, second), sizes = max(levels), read_sizes(convention, levels[0, 0])
    found = {}
    for (k, d), level in levels.items():
        own = sizes if k == 0 else sizes._replace(D=sizes.P * (second + 1))
        found[k, d] = to_ours(convention, read_blocks(convention, level, own))
    stack = {"num_layers": last + 1, "bidirectional": second == 1}
    return _layer_of_blocks(convention, found, sizes, stack | options)


def to_arrays(layer: Recurrent, convention: str | Convention) -> Arrays:
    """The weights of a layer of `elman.nn`, as the framework's layer that computes the same has them.

    Raises:
        UserError: no layer of the convention computes the same.

    >>> from elman.nn import GRU
    >>> layer = GRU(2, 3, num_layers=2)
    >>> [*to_arrays(layer, "torch.GRU")][4:]
    ['weight_ih_l1', 'weight_hh_l1', 'bias_ih_l1', 'bias_hh_l1']
    >>> to_arrays(layer, "keras.GRU")
    Traceback (most recent call last):
    elman.errors.UserError: keras.GRU has no equal of this GRU: it has one layer, and this has 2
    """
    convention = convention_named(convention) if isinstance(convention, str) else convention
    if not isinstance(layer, Recurrent):
        remedy = 'a layer of torch.nn becomes one by from_arrays("torch.LSTM", layer.state_dict())'
        raise UserError("to_arrays", expected="a layer of elman.nn", got=type(layer).__name__, remedy=remedy)
    if reason := convention.why_not() or _why_not(layer, convention):
        raise UserError(f"{convention.name} has no equal of this {type(layer).__name__}: {reason}")
    naming = convention.namings[0]
    full = full_names(convention, naming, layer.num_layers, layer.num_directions)
    found, folds = dict[str, Numbers](), list[str]()
    for k in range(layer.num_layers):
        for d in range(layer.num_directions):
            blocks, folded = to_theirs(convention, _blocks_of_layer(layer, k, d), suffix(k, d))
            found |= {full[k, d][name]: value for name, value in write_arrays(convention, blocks).items()}
            folds += folded
    arrays = Arrays(join_directions(found) if naming.is_split else found)
    arrays.folds = tuple(folds)
    return arrays


def _why_not(layer: Recurrent, convention: Convention) -> str | None:
    """The reason why the framework's layer does not compute the same as a layer of elman, or None."""
    cell, naming = convention.specification, convention.namings[0]
    if layer.specification.name != convention.cell:
        return f"it is a convention of {cell.layer}"
    if layer.cell != cell.name:
        theirs, ours = convention.options[cell.chosen_by], getattr(layer, cell.chosen_by)
        return f"its {cell.chosen_by} is {theirs!r}, the layer's {ours!r}{DIFFERENCE.get(cell.chosen_by, '')}"
    if layer.num_layers > 1 and "{layer}" not in naming.forward:
        return f"it has one layer, and this has {layer.num_layers}"
    if len(dict.fromkeys(layer.hidden_sizes)) > 1:
        return "all its layers have one size"
    if layer.bidirectional and naming.both is None:
        return "it reads in one direction"
    if layer.zoneout or layer.zoneout_cell:
        return "it knows no zoneout, which changes every step in evaluation, too"
    fields = {field for field, _ in convention.held} | {*BIASES}
    if lacking := [f"{field}_l0" for field in Weights._fields if hasattr(layer, f"{field}_l0") and field not in fields]:
        return f"it has no array for {', '.join(lacking)}"
    return None


def _gates_of(field: str, cell: str) -> tuple[str, ...]:
    """The gates whose rows a field of `Weights` has, in elman's order."""
    return {"weight_hr": ("",), "weight_peephole": PEEPHOLES}.get(field, cell_named(cell).rows)


def _blocks_of_layer(layer: Recurrent, k: int, d: int) -> Blocks:
    blocks: Blocks = {}
    for field in Weights._fields:
        parameter = getattr(layer, field + suffix(k, d), None)
        if parameter is None:
            continue
        if (dtype := str(parameter.dtype).removeprefix("torch.")) not in DTYPES:
            raise UserError("to_arrays", expected=f"a layer of {', '.join(DTYPES)}", got=dtype, remedy="layer.float()")
        gates = _gates_of(field, layer.cell)
        rows = np.split(parameter.detach().cpu().numpy(), len(gates))
        blocks |= {(field, gate): block for gate, block in zip(gates, rows, strict=True)}
    return blocks


def _layer_of_blocks(
    convention: Convention, found: Mapping[tuple[int, int], Blocks], sizes: Sizes, options: Mapping[str, Any]
) -> Recurrent:
    blocks, own = found[0, 0], dict(convention.options)
    if ("weight_hr", "") in blocks:
        own["proj_size"] = sizes.P
    if any(field == "weight_peephole" for field, _ in blocks):
        own["peepholes"] = True
    bias = ("bias_ih", convention.gates[0]) in blocks
    layer = layer_of(convention.cell)(sizes.D, sizes.H, bias=bias, device="meta", **own, **options)
    for (k, d), blocks in found.items():
        for field in Weights._fields:
            gates = _gates_of(field, convention.cell)
            parts = [blocks[field, gate] for gate in gates if (field, gate) in blocks]
            if 0 < len(parts) < len(gates):
                every = dict.fromkeys(convention.held[field, gate].name for gate in gates)
                raise UserError(convention.name, expected=f"all of {', '.join(every)} or none", got=f"{len(parts)}")
            if parts:
                setattr(layer, field + suffix(k, d), nn.Parameter(torch.from_numpy(np.concatenate(parts))))
    return layer
