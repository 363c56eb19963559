"""Which array of a framework is which: the names of a stack of layers in one direction or both, under any path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import product, takewhile
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from elman.arrays import Numbers
from elman.errors import UserError
from elman.interop.convention import Convention, Naming

Level: TypeAlias = tuple[int, int]
"""A layer and a direction, from 0."""
Path: TypeAlias = tuple[str, ...]


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
            # A parameter of torch may want gradients; a file may have the other order of bytes.
            array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
            found[f"{path}{name}"] = array.astype(array.dtype.newbyteorder("="), copy=False)
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


def full_names(convention: Convention, naming: Naming, layers: int, directions: int) -> dict[Level, dict[str, str]]:
    """The names of all arrays, optional ones too; nothing where the naming knows no second direction."""
    templates = (naming.both or ()) if directions == 2 else (naming.forward,)
    return {
        (layer, d): {array.name: template.format(name=array.name, layer=layer) for array in convention.arrays}
        for layer in range(layers)
        for d, template in enumerate(templates)
    }


def recognise(convention: Convention, given: Mapping[str, Numbers]) -> dict[Level, dict[str, Numbers]]:
    """The arrays of every layer and direction, by their names in the convention.

    A path that all names have in common does not matter, so that a layer is found wherever in a model it stands.

    Raises:
        UserError: arrays are missing, or there are others.
    """
    best = None
    for match in _matches(convention, given):
        if not match.wrong:
            return {level: {name: given[full] for name, full in each.items()} for level, each in match.found.items()}
        if best is None or len(match.wrong) < len(best.wrong):
            best = match
    assert best is not None
    expected = ", ".join(full_names(convention, convention.namings[0], 1, 1)[0, 0].values())
    raise UserError(convention.name, expected=f"arrays named {expected}", got=", ".join(best.wrong[:4]))


class Match(NamedTuple):
    """The given names, taken for those of a certain stack."""

    found: dict[Level, dict[str, str]]
    wrong: list[str]  # what is missing, and what is unknown


def _matches(convention: Convention, given: Mapping[str, Numbers]) -> Iterator[Match]:
    """Every way to take the given names: by naming, number of layers, directions, and the path before the names."""
    keys = {_components(name): name for name in given}
    required = [array.name for array in convention.arrays if not array.optional]
    first, *rest = convention.namings
    for naming, directions in product(convention.namings, (1, 2)):
        for layers in range(1, 2 + (len(given) // len(required) if "{layer}" in naming.forward else 0)):
            full = full_names(convention, naming, layers, directions)
            # The same arrays may be there a second time, under the names of another naming.
            others = [full_names(convention, other, layers, directions) for other in rest] if naming is first else []
            aliases = {_components(name) for other in others for each in other.values() for name in each.values()}
            if full:
                yield from _under_paths(full, keys, required, aliases)


def _under_paths(
    full: dict[Level, dict[str, str]], keys: dict[Path, str], required: Sequence[str], aliases: Set[Path]
) -> Iterator[Match]:
    """The given names, taken for `full` under every path at which there is the first of these."""
    parts = {(level, name): _components(whole) for level, each in full.items() for name, whole in each.items()}
    above = zip(*(key[:-1] for key in parts.values()), strict=False)
    shared = sum(1 for _ in takewhile(lambda step: len({*step}) == 1, above))
    bare = {slot: key[shared:] for slot, key in parts.items()}
    first = next(iter(bare.values()))
    for path in dict.fromkeys(key[: -len(first)] for key in keys if key[-len(first) :] == first) or [()]:
        found: dict[Level, dict[str, str]] = {level: {} for level in full}
        for (level, name), key in bare.items():
            if path + key in keys:
                found[level][name] = keys[path + key]
        # What one layer has, every layer has.
        wanted = dict.fromkeys([*required, *(name for each in found.values() for name in each)])
        missing = [f"no {full[level][name]}" for level in full for name in wanted if name not in found[level]]
        taken = {path + key for key in bare.values()}
        unknown = [
            whole
            for key, whole in keys.items()
            if key not in taken and not any(key[n:] in aliases for n in range(len(key)))
        ]
        yield Match(found, missing + unknown)


def _components(name: str) -> Path:
    """The parts of a path.

    >>> _components("lstm/linear/w"), _components("0.cell.weight_ih")
    (('lstm', 'linear', 'w'), ('0', 'cell', 'weight_ih'))
    """
    return tuple(re.split(r"[/.]", name))
