"""The layer of every cell: constructor and documentation are made from the cell's specification."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from inspect import Parameter
from textwrap import indent
from typing import Any, TypeVar

import torch
from torch import nn

from elman.cells import CELLS, Cell, Option
from elman.nn.recurrent import Recurrent

# In torch's order; the options after `dtype` are ours, and keyword-only. A cell's own options stand between these.
COMMON = (
    Option("input_size", Parameter.empty, "D.", annotation=int),
    Option(
        "hidden_size",
        Parameter.empty,
        "H; a sequence gives every layer its own, and then a state is a tuple with one for each layer.",
        annotation=int | Sequence[int],
    ),
    Option("num_layers", 1, "layers on top of each other; with a sequence of sizes, as many as there are."),
    Option("bias", True, "whether there are b_ih and b_hh."),
    Option("batch_first", False, "inputs and outputs are (B, T, ·) instead of (T, B, ·); the state is not affected."),
    Option("dropout", 0.0, "probability for the outputs of every layer but the last, in training."),
    Option("bidirectional", False, "a second set of weights reads from the end to the beginning."),
    Option("device", None, "where the parameters are made.", annotation=torch.device | str | None),
    Option("dtype", None, "of the parameters.", annotation=torch.dtype | None),
    Option("weight_dropout", 0.0, "probability for the entries of W_hh, once a call, in training (arXiv:1708.02182)."),
    Option(
        "recurrent_dropout",
        0.0,
        "probability for the entries of h_{t-1} where W_hh reads it, one mask for all steps of a call,\n"
        "in training (Gal & Ghahramani 2016).",
    ),
    Option(
        "zoneout",
        0.0,
        "probability that an entry of h_t stays that of h_{t-1}; in evaluation the expectation\n"
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
        '"reference" has derivatives of every order, forward mode and `vmap`; "torch" has those of ATen and cuDNN.',
        annotation=str | None,
    ),
    Option(
        "recompute",
        False,
        "keep the states between chunks of steps alone, and compute the rest anew in backward: less RAM,\n"
        "about 4/3 of the time (arXiv:1604.06174). An integer is the steps of a chunk; True stands for 2 sqrt(T).",
        annotation=bool | int,
    ),
)
M = TypeVar("M", bound=nn.Module)
OF_W_HH = ("weight_dropout", "recurrent_dropout")
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


def documentation(cell: Cell, options: Sequence[Option], example: str) -> str:
    """A docstring: the cell's equations, the arguments, and an example that runs."""
    names = [state.name for state in cell.states]
    state = names[0] if len(names) == 1 else f"({', '.join(names)})"
    arguments = "\n".join(f"{option.name}: " + indent(option.words, "    ").lstrip() for option in options)
    lines = example.format(name=cell.layer, state=state, last=names[-1])
    return f"{cell.doc.strip()}\n\nArgs:\n{indent(arguments, '    ')}\n{lines}"


def complete(made: type[M], cell: Cell, options: Sequence[Option], doc: str) -> type[M]:
    """Give a class its cell, its docstring, and a constructor whose options, up to `dtype`, may stand without names.

    The constructor calls the method `_begin` with all options by name.
    """
    last = [option.name for option in options].index("dtype")
    kinds = [Parameter.POSITIONAL_OR_KEYWORD if n <= last else Parameter.KEYWORD_ONLY for n in range(len(options))]
    parameters = [
        Parameter(name, kind, default=default, annotation=annotation or type(default))
        for kind, (name, default, *_, annotation) in zip(kinds, options, strict=True)
    ]
    signature = inspect.Signature([Parameter("self", Parameter.POSITIONAL_ONLY), *parameters])

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        try:
            bound = signature.bind(self, *values, **named)
        except TypeError as error:
            raise TypeError(f"{made.__name__}.__init__(): {error}") from None
        bound.apply_defaults()
        self._begin({name: value for name, value in bound.arguments.items() if name != "self"})

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    members: Any = made
    members.__init__, members.__doc__, members.specification = __init__, doc, cell
    members.defaults = {option.name: option.default for option in options}
    return made


def _layer(made: type[Recurrent]) -> type[Recurrent]:
    cell = next(cell for cell in CELLS.values() if cell.layer == made.__name__)
    options = options_of(cell)
    return complete(made, cell, options, documentation(cell, options, EXAMPLE))


@_layer
class Elman(Recurrent):  # noqa: D101
    pass


@_layer
class GRU(Recurrent):  # noqa: D101
    pass


@_layer
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
        _LAYERS[name] = _layer(type(cell.layer, (Recurrent,), {"__module__": "elman.nn"}))
    return _LAYERS[name]
