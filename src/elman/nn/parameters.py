"""Which parameters a recurrent layer has: their names, shapes and first values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from elman.cells import Cell, Weights


def shapes(cell: Cell, D: int, H: int, P: int, options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of one layer in one direction that reads vectors of size D, under and in the order of the names of `Weights`.

    >>> from elman.cells import CELLS
    >>> shapes(CELLS["gru"], 2, 5, 5, {"bias": False, "layer_norm": True})
    {'weight_ih': (15, 2), 'weight_hh': (15, 5), 'gain_ih': (15,), 'gain_hh': (15,)}
    """
    G = len(cell.rows) * H
    found: dict[str, tuple[int, ...]] = {"weight_ih": (G, D), "weight_hh": (G, P)}
    if options["bias"]:
        found |= {"bias_ih": (G,), "bias_hh": (G,)}
    if options["layer_norm"]:
        found |= {"gain_ih": (G,), "gain_hh": (G,)}
    if not cell.recurrent:
        found = {name: shape for name, shape in found.items() if not name.endswith("_hh")}
    found |= cell.own_weights(options, H, P)
    return {name: found[name] for name in Weights._fields if name in found}


def suffix(layer: int, direction: int) -> str:
    """The end of a parameter's name: `_l0`, `_l0_reverse`, ..."""
    return f"_l{layer}" + ("_reverse" if direction else "")


def layer_of(name: str) -> int | None:
    """The number of the layer that a parameter, which may be parametrized, belongs to; None for others.

    >>> layer_of("parametrizations.weight_hh_l12_reverse.original"), layer_of("linear.weight")
    (12, None)
    """
    found = re.search(r"(?:weight|bias|gain)_\w+?_l(\d+)(?!\d)", name)
    return int(found[1]) if found else None


def reset(name: str, parameter: Tensor, H: int) -> None:
    """Draw it from U(-1/sqrt(H), 1/sqrt(H)) as torch.nn does, but begin layer normalization with 1 and 0."""
    if "gain_" in name:  # which may be parametrized
        nn.init.ones_(parameter)
    elif "bias_cell" in name:
        nn.init.zeros_(parameter)
    else:
        bound = 1 / math.sqrt(H)
        nn.init.uniform_(parameter, -bound, bound)
