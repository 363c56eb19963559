"""Which array of a framework is which: the names of a stack of layers in one direction or both, under any path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product, takewhile
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from elman.arrays import Numbers
from elman.errors import UserError
from elman.interop.convention import Convention, Naming

Slot: TypeAlias = tuple[int, int, str]
"""A layer and a direction, from 0, and the name of an array in the convention."""


def flatten(arrays: Mapping[str, Any], path: str = "") -> dict[str, Numbers]:
    """Arrays by their paths, from mappings in mappings; None stands for a bias that there is not.

    >>> flatten({"cell": {"kernel": [1.0], "bias": None}})
    {'cell/kernel': array([1.])}
    """
    found: dict[str, Numbers] = {}
    for name, value in arrays.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{path}{name}/")
        elif value is not None:
            found[f"{path}{name}"] = np.asarray(value)
    return found


def split_directions(arrays: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """The array "W" with directions on its first axis as "W[0]" and, with two directions, "W[1]"."""
    return {f"{name}[{d}]": part for name, array in arrays.items() for d, part in enumerate(np.atleast_1d(array))}


def join_directions(arrays: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """The inverse of `split_directions`."""
    parts: dict[str, list[Numbers]] = {}
    for name, part in arrays.items():
        parts.setdefault(name.partition("[")[0], []).append(part)
    return {name: np.stack(each) for name, each in parts.items()}


def names(convention: Convention, naming: Naming, layers: int, directions: int) -> dict[Slot, str]:
    """The names of all arrays, optional ones too; none where the naming knows no second direction."""
    templates = (naming.both or ()) if directions == 2 else (naming.forward,)
    return {
        (layer, d, array.name): template.format(name=array.name, layer=layer)
        for layer in range(layers)
        for d, template in enumerate(templates)
        for array in convention.arrays
    }


def recognise(convention: Convention, given: Mapping[str, Numbers]) -> dict[Slot, Numbers]:
    """The arrays of every layer and direction.

    A path that all names have in common does not matter, so that a layer is found wherever in a model it stands.

    Raises:
        UserError: arrays are missing, or there are others.
    """
    best = None
    for match in _matches(convention, given):
        if not match.wrong:
            return {slot: given[name] for slot, name in match.found.items()}
        if best is None or len(match.wrong) < len(best.wrong):
            best = match
    assert best is not None
    expected = ", ".join(names(convention, convention.namings[0], 1, 1).values())
    raise UserError(convention.name, expected=f"arrays named {expected}", got=", ".join(best.wrong[:4]))


class Match(NamedTuple):
    """The given names, taken for those of a certain stack."""

    found: dict[Slot, str]
    wrong: list[str]  # what is missing, and what is unknown


def _matches(convention: Convention, given: Mapping[str, Numbers]) -> Iterator[Match]:
    """Every way to take the given names: by naming, number of layers, directions, and the path before the names."""
    keys = {_components(name): name for name in given}
    required = [array.name for array in convention.arrays if not array.optional]
    for naming, directions in product(convention.namings, (1, 2)):
        for layers in range(1, 2 + (len(given) // len(required) if "{layer}" in naming.forward else 0)):
            slots = names(convention, naming, layers, directions)
            others = [names(convention, other, layers, directions) for other in convention.namings if other != naming]
            aliases = {_components(name) for other in others for name in other.values()}
            full = {slot: _components(name) for slot, name in slots.items()}
            if not full:
                continue
            above = zip(*(key[:-1] for key in full.values()), strict=False)
            shared = sum(1 for _ in takewhile(lambda parts: len({*parts}) == 1, above))
            bare = {slot: key[shared:] for slot, key in full.items()}
            first = next(iter(bare.values()))
            for path in dict.fromkeys(key[: -len(first)] for key in keys if key[-len(first) :] == first) or [()]:
                found = {slot: keys[path + key] for slot, key in bare.items() if path + key in keys}
                # What one layer has, every layer has.
                wanted = {*required, *(name for _, _, name in found)}
                missing = [f"no {slots[slot]}" for slot in bare if slot[2] in wanted and slot not in found]
                taken = {path + key for key in bare.values()} | aliases
                yield Match(found, missing + [name for key, name in keys.items() if key not in taken])


def _components(name: str) -> tuple[str, ...]:
    """The parts of a path.

    >>> _components("lstm/linear/w"), _components("0.cell.weight_ih")
    (('lstm', 'linear', 'w'), ('0', 'cell', 'weight_ih'))
    """
    return tuple(re.split(r"[/.]", name))
