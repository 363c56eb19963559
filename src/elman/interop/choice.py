"""The convention of a framework for a layer of `elman.nn`."""

from __future__ import annotations

from dataclasses import replace

from elman.errors import UserError
from elman.interop.convention import Convention
from elman.interop.frameworks import CONVENTIONS
from elman.nn import Recurrent


def convention_for(framework: str, layer: Recurrent) -> Convention:
    """The row of a framework ("torch", "flax.linen") that computes the same as a layer, where there is one.

    A layer of Elman's network takes its nonlinearity as an argument everywhere.

    Raises:
        UserError: the framework has no layer of this kind. Whether it can hold the layer's options, `to_arrays` says.

    >>> from elman.nn import GRU, RNN
    >>> convention_for("keras", GRU(2, 3, reset_after=False)).name
    'keras.GRU_reset_before'
    >>> convention_for("torch", RNN(2, 3, nonlinearity="relu")).activations
    ('relu',)
    """
    kind = layer.specification.name
    rows = [row for row in CONVENTIONS.values() if row.name.startswith(f"{framework}.") and row.cell == kind]
    if not rows:
        raise UserError(f"{framework} has no layer of the kind {type(layer).__name__}")
    if kind == "elman":
        rows = [replace(row, activations=(str(layer.nonlinearity),)) for row in rows]
    return next((row for row in rows if row.specification.name == layer.cell), rows[0])
