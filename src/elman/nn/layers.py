"""The layer of every cell: its constructor and documentation are made from the cell's specification."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from inspect import Parameter
from textwrap import indent
from typing import Any

import torch

from elman.cells import CELLS, Cell, Option
from elman.nn.recurrent import Recurrent

# In torch's order; what follows `dtype` is ours, and keyword-only. A cell's own options stand between these.
COMMON = (
    Option("input_size", Parameter.empty, "D."),
    Option(
        "hidden_size",
        Parameter.empty,
        "H; a sequence gives every layer its own, and then a state is a tuple with one for each layer.",
    ),
    Option("num_layers", 1, "layers on top of each other; with a sequence of sizes, as many as there are."),
    Option("bias", True, "whether there are b_ih and b_hh."),
    Option("batch_first", False, "inputs and outputs are (B, T, ·) instead of (T, B, ·); the state is not affected."),
    Option("dropout", 0.0, "probability for the outputs of every layer but the last, in training."),
    Option("bidirectional", False, "a second set of weights reads from the end to the beginning."),
    Option("device", None, "where the parameters are made."),
    Option("dtype", None, "of the parameters."),
    Option(
        "weight_dropout",
        0.0,
        "probability for the entries of W_hh, once a call, in training (arXiv:1708.02182).",
    ),
    Option(
        "recurrent_dropout",
        0.0,
        "probability for the entries of h_{t-1} where W_hh reads it, one mask for all steps of a call,\n"
        "in training (Gal & Ghahramani 2016).",
    ),
    Option(
        "zoneout",
        0.0,
        "probability with which an entry of h_t stays what it was; in evaluation its expectation\n"
        "(Krueger et al. 2017, arXiv:1606.01305).",
    ),
    Option(
        "layer_norm",
        False,
        "W_ih x_t and W_hh h_{t-1} are normalized over all gates, then multiplied by `gain_ih` and `gain_hh`\n"
        "(Ba et al. 2016, arXiv:1607.06450).",
    ),
    Option(
        "backend",
        None,
        "None for the first that can serve a call, or one of `elman.kernels.BACKENDS` and no other.\n"
        '"reference" has derivatives of every order, forward mode and `vmap`; "torch" what ATen and cuDNN have.',
    ),
    Option(
        "recompute",
        False,
        "keep the states between chunks of steps alone, and compute the rest anew in backward: less memory,\n"
        "about 4/3 of the time (arXiv:1604.06174). An integer is the steps of a chunk; True stands for 2 sqrt(T).",
    ),
)
OF_W_HH = ("weight_dropout", "recurrent_dropout")
ANNOTATIONS = {
    "input_size": int,
    "hidden_size": int | Sequence[int],
    "device": torch.device | str | None,
    "dtype": torch.dtype | None,
    "backend": str | None,
    "recompute": bool | int,
}
EXAMPLE = """
>>> import torch
>>> from elman.nn import {name}
>>> layer = {name}(3, 5, batch_first=True)
>>> outputs, {state} = layer(torch.zeros(2, 7, 3), lengths=torch.tensor([7, 0]))
>>> outputs.shape, {last}.shape
(torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
"""


def options_of(cell: Cell) -> list[Option]:
    """Every argument of a cell's layer, in order."""
    found = []
    for option in COMMON:
        if option.name == "layer_norm":
            found += [own for own in cell.options if not own.after]
        if cell.recurrent or option.name not in OF_W_HH:
            found.append(option)
        found += [own for own in cell.options if own.after == option.name]
    return found


def signature(cell: Cell) -> inspect.Signature:
    """That of the constructor of a cell's layer."""
    options = options_of(cell)
    positional = next(n for n, option in enumerate(options) if option.name == "dtype") + 1
    parameters = [
        Parameter(
            option.name,
            Parameter.POSITIONAL_OR_KEYWORD if n < positional else Parameter.KEYWORD_ONLY,
            default=option.default,
            annotation=ANNOTATIONS.get(option.name, type(option.default)),
        )
        for n, option in enumerate(options)
    ]
    return inspect.Signature([Parameter("self", Parameter.POSITIONAL_ONLY), *parameters])


def documentation(cell: Cell) -> str:
    """The docstring of a cell's layer."""
    names = [state.name for state in cell.states]
    state = names[0] if len(names) == 1 else f"({', '.join(names)})"
    arguments = "\n".join(f"{option.name}: " + indent(option.words, "    ").lstrip() for option in options_of(cell))
    example = EXAMPLE.format(name=cell.layer, state=state, last=names[-1])
    return f"{cell.doc.strip()}\n\nArgs:\n{indent(arguments, '    ')}\n{example}"


def of_cell(cell: Cell) -> Callable[[type[Recurrent]], type[Recurrent]]:
    """Makes a class the layer of a cell: its constructor takes the arguments of the cell's signature, by name."""
    expected = signature(cell)

    def __init__(self: Recurrent, *values: Any, **named: Any) -> None:
        try:
            bound = expected.bind(self, *values, **named)
        except TypeError as error:
            raise TypeError(f"{cell.layer}.__init__(): {error}") from None
        bound.apply_defaults()
        self._begin({name: value for name, value in bound.arguments.items() if name != "self"})

    __init__.__signature__ = expected  # type: ignore[attr-defined]

    def complete(layer: type[Recurrent]) -> type[Recurrent]:
        layer.specification, layer.__doc__ = cell, documentation(cell)
        layer.defaults = {option.name: option.default for option in options_of(cell)}
        layer.__init__ = __init__  # type: ignore[method-assign, assignment]
        return layer

    return complete


@of_cell(CELLS["elman"])
class Elman(Recurrent):  # noqa: D101
    pass


@of_cell(CELLS["gru"])
class GRU(Recurrent):  # noqa: D101
    pass


@of_cell(CELLS["lstm"])
class LSTM(Recurrent):  # noqa: D101
    pass


_LAYERS: dict[str, type[Recurrent]] = {"elman": Elman, "gru": GRU, "lstm": LSTM}


def layer_of(name: str) -> type[Recurrent]:
    """The class of the layer of a cell in `CELLS`.

    >>> layer_of("lstm") is LSTM
    True
    """
    cell = CELLS[name]
    if name not in _LAYERS or _LAYERS[name].specification is not cell:
        _LAYERS[name] = of_cell(cell)(type(cell.layer, (Recurrent,), {"__module__": "elman.nn"}))
    return _LAYERS[name]
