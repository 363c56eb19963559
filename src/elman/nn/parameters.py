"""The making of a recurrent layer: checks of its arguments, and the names, shapes and first values of its parameters.

The checks raise the exceptions, and nearly the words, of torch.nn.
"""

from __future__ import annotations

import math
import numbers
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from elman.cells import Cell, Weights
from elman.kernels import check_backend
from elman.nn.dropout import check_probability


def checked_sizes(defaults: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[int, ...]:
    """H of every layer. Raise the errors of options that no layer can have; warn of a dropout that drops nothing."""
    for name, default in defaults.items():
        if isinstance(default, float):
            check = check_dropout if name in ("dropout", "weight_dropout") else check_probability
            check(name, options[name])
    for name, default in defaults.items():
        if isinstance(default, bool) and name not in ("bidirectional", "recompute"):
            check_flag(name, options[name])
    sizes = sizes_of_layers(options["hidden_size"], options["num_layers"])
    check_sizes(options["input_size"], sizes, options.get("proj_size", 0))
    check_backend(options["backend"])
    check_recompute(options["recompute"])
    if (p := options["dropout"]) > 0 and len(sizes) == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
            f"num_layers greater than 1, but got dropout={p} and num_layers={len(sizes)}",
            stacklevel=4,  # of whoever makes the layer
        )
    return sizes


def sizes_of_layers(hidden_size: int | Sequence[int], num_layers: int) -> tuple[int, ...]:
    """H of every layer. Raise `ValueError` unless there are `num_layers` sizes, or `num_layers` is 1, the default.

    Raises:
        TypeError: `num_layers` is no integer.

    >>> sizes_of_layers(5, 2), sizes_of_layers([5, 7], 1)
    ((5, 5), (5, 7))
    """
    if not isinstance(num_layers, int):
        raise TypeError(f"num_layers should be of type int, got: {type(num_layers).__name__}")
    if not isinstance(hidden_size, Sequence) or isinstance(hidden_size, str | bytes):
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        return (cast(int, hidden_size),) * num_layers  # `check_sizes` checks the type
    if not hidden_size or num_layers not in (1, len(hidden_size)):
        layers = "one layer or more" if num_layers == 1 else f"{num_layers} layers"
        raise ValueError(f"hidden_size: expected a size for each of {layers}, got {list(hidden_size)}")
    return tuple(hidden_size)


def check_sizes(input_size: int, hidden_sizes: Sequence[int], proj_size: int) -> None:
    """Raise `TypeError` or `ValueError` unless a layer can have these sizes."""
    named = [("input_size", input_size), *(("hidden_size", size) for size in hidden_sizes)]
    for name, size in named:
        if not isinstance(size, int):
            raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
    for name, size in named:
        if size <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= min(hidden_sizes):
        raise ValueError("proj_size has to be smaller than hidden_size")


def check_flag(name: str, value: bool) -> None:
    """Raise `TypeError` unless the value is a boolean."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")


def check_dropout(name: str, p: float) -> None:
    """Raise `ValueError` unless p is a number from 0 to 1."""
    if not isinstance(p, numbers.Real) or isinstance(p, bool) or not 0 <= p <= 1:
        meaning = "representing the probability of an element being zeroed"
        raise ValueError(f"{name} should be a number in range [0, 1] {meaning}")


def check_recompute(recompute: bool | int) -> None:
    """Raise `TypeError` unless `recompute` is a boolean or an integer, `ValueError` for less than one step."""
    if not isinstance(recompute, int):
        raise TypeError(f"recompute should be of type bool or int, got: {type(recompute).__name__}")
    if not isinstance(recompute, bool) and recompute <= 0:
        raise ValueError("recompute should be True, False or a number of steps greater than zero")


def shapes(cell: Cell, D: int, H: int, P: int, options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters of one layer in one direction that reads vectors of size D, named as in `Weights`.

    Raises:
        ValueError: the cell's own weights have names that are not in `Weights`.

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
    if unknown := found.keys() - set(Weights._fields):
        names = ", ".join(sorted(unknown))
        raise ValueError(f"{cell.layer}: expected own weights with names of `elman.cells.Weights`, got {names}")
    return {name: found[name] for name in Weights._fields if name in found}


def suffix(layer: int, direction: int) -> str:
    """The end of a parameter's name: `_l0`, `_l0_reverse`, ..."""
    return f"_l{layer}" + ("_reverse" if direction else "")


def layer_number(name: str) -> int | None:
    """The number of the layer of a parameter, which may be parametrized; None for parameters of no layer.

    >>> layer_number("parametrizations.weight_hh_l12_reverse.original"), layer_number("linear.weight")
    (12, None)
    """
    found = re.search(r"(?:weight|bias|gain)_\w+?_l(\d+)(?!\d)", name)
    return int(found[1]) if found else None


def reset(name: str, parameter: Tensor, H: int) -> None:
    """Draw a parameter from U(-1/sqrt(H), 1/sqrt(H)) as torch.nn does; layer normalization begins with 1 and 0."""
    if "gain_" in name:  # the parameter may be parametrized, so that more stands before "gain_"
        nn.init.ones_(parameter)
    elif "bias_cell" in name:
        nn.init.zeros_(parameter)
    else:
        bound = 1 / math.sqrt(H)
        nn.init.uniform_(parameter, -bound, bound)
