"""A layer of a file of Keras: its options, its arrays, its activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from elman.arrays import Numbers
from elman.errors import UserError, nearest
from elman.interop.imported import ImportOptions
from elman.interop.keras_archives import KerasArchive
from elman.interop.layered_graph import LayeredGraph, Symbol
from elman.models.layered_pointwise import FUNCTIONS

# Names that differ from those of `FUNCTIONS`, and functions with a parameter of a fixed value.
ACTIVATIONS: dict[str, tuple[str, float | None]] = {
    **{name: (name, None) for name in FUNCTIONS},
    "swish": ("silu", None),
    "hard_swish": ("hard_silu", None),
    "exp": ("exponential", None),
    "leaky_relu": ("leaky_relu", 0.2),
    "elu": ("elu", 1.0),
    "celu": ("celu", 1.0),
}


@dataclass(frozen=True)
class KerasLayer:
    """A layer of a file."""

    graph: LayeredGraph
    archive: KerasArchive
    options: ImportOptions
    path: tuple[str, ...]  # the models around it
    kind: str
    own: Mapping[str, Any]  # its configuration
    parts: tuple[str, ...] = ("",)  # where its arrays are

    @property
    def name(self) -> str:
        """The name of its nodes."""
        return "/".join((*self.path, self.own["name"]))

    def arrays(self, *expected: bool) -> list[Numbers]:
        """Its arrays; of each that is expected there must be one."""
        found = self.archive.arrays((*self.path, self.own["name"]), self.parts)
        if len(found) != sum(expected):
            raise UserError("weights", expected=f"{sum(expected)} arrays", got=len(found))
        return found

    def need(self, **values: Any) -> None:
        """Raise `UserError` for an option with another value."""
        for name, value in values.items():
            if (got := self.own.get(name, value)) != value:
                raise UserError(name, expected=value, got=got)

    def check(self, array: Numbers, shape: tuple[int, ...]) -> Numbers:
        """An array, if it has that shape."""
        if array.shape != shape:
            raise UserError("weights", expected=f"an array of shape {shape}", got=array.shape)
        return array


def activated(layer: KerasLayer, value: Symbol, given: Any, name: str) -> Symbol:
    """The value under an activation, which a file names by a word."""
    if given is None or given == "linear":
        return value
    if not isinstance(given, str) or given not in ACTIVATIONS:
        word = given.get("config", given) if isinstance(given, dict) else given
        word = word.get("name", word) if isinstance(word, dict) else word
        remedy = nearest(word, ACTIVATIONS) if isinstance(word, str) else ""
        raise UserError("activation", expected="one that elman knows", got=repr(word), remedy=remedy)
    function, alpha = ACTIVATIONS[given]
    if alpha is None:
        return layer.graph.add("activation", name, value, function=function)
    return layer.graph.add("activation", name, value, function=function, alpha=alpha)


def inner(layer: KerasLayer, wrapped: Mapping[str, Any], part: str) -> KerasLayer:
    """A layer in a wrapper, under the name of the latter."""
    own = {**wrapped["config"], "name": layer.own["name"]}
    return replace(layer, kind=wrapped["class_name"], own=own, parts=(part,))


def check_last(layer: KerasLayer, value: Symbol, default: Any = -1) -> None:
    """Raise `UserError` unless the axis is the last one."""
    axis = layer.own.get("axis", default)
    if axis not in (-1, [-1], *((2, [2]) if value.shape.per_step else (1, [1]))):
        raise UserError("axis", expected="the last one", got=axis)
