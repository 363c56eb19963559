"""Interventions: a model in which a unit, a gate or a head is held at a value, whatever it reads.

    held = hold(model, [Intervention(layer=1, gate="f", unit=5, value=0.0)])          unit 5 of layer 1 forgets all
    logits, state = held(tokens, state)

The layers concerned read by the readable steps of their cell, in which the value stands for what a step computes, from
the first step that is read on: so what else the step computes follows from it. Everything that takes a model takes a
held one: generation, gradients, and the rest of the microscope, which shows the held values.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from elman.cells import Hold, cell_named
from elman.errors import UserError
from elman.lens.observe import twin
from elman.lens.visit import LAYERS, own_layer
from elman.nn.attention import Attention
from elman.nn.recurrent import Recurrent
from elman.settings import LAYERS as MOST_LAYERS
from elman.settings import UNITS, Section, complaint

M = TypeVar("M", bound=nn.Module)
DIRECTIONS = ("forward", "reverse")


class Intervention(Section):
    """A value, and where it is held: layers and heads count from 1, units from 0.

    >>> Intervention(layer=1, gate="f", unit=5, value=1.0)
    Intervention(layer=1, state=None, gate='f', head=None, unit=5, value=1.0, direction='forward')
    """

    layer: int = Field(ge=1, le=MOST_LAYERS)
    state: str | None = Field(None, description="a state: h, c")
    gate: str | None = Field(None, description="or a gate: i, f, o, …, with a value from 0 to 1")
    head: int | None = Field(None, ge=1, description="or the output of a head of attention")
    unit: int | None = Field(None, ge=0, lt=UNITS, description="none: every unit")
    value: float = 0.0
    direction: Literal["forward", "reverse"] = "forward"

    @model_validator(mode="after")
    def _one(self) -> Intervention:
        if sum(part is not None for part in (self.state, self.gate, self.head)) != 1:
            raise ValueError('what is held: expected one of "state", "gate" and "head"')
        if self.head is not None and self.unit is not None:
            raise ValueError("a head: expected no unit, for it is held as a whole")
        if self.gate is not None and not 0 <= self.value <= 1:
            raise ValueError(f"a gate: expected a value from 0 to 1, got {self.value:g}")
        return self


@dataclass(frozen=True)
class LayerDescription:
    """A recurrent layer in one direction: what can be watched and held.

    >>> from elman.nn import GRU
    >>> describe_layers(GRU(3, 8))[0]
    LayerDescription(name='layer 1', cell='gru', units=8, states=['h'], gates=['r', 'z'])
    """

    name: str  # as a `LayerVisit` has it: "layer 1", "layer 1 reverse"
    cell: str
    units: int
    states: Sequence[str]
    gates: Sequence[str]


def interventions(asked: Iterable[Mapping[str, Any]]) -> list[Intervention]:
    """Checked requests. Raises `UserError` for one that is not right.

    >>> interventions([{"layer": 1, "gate": "f", "value": 2}])
    Traceback (most recent call last):
    elman.errors.UserError: a gate: expected a value from 0 to 1, got 2
    """
    try:
        return [Intervention.model_validate(dict(one)) for one in asked]
    except ValidationError as error:
        raise complaint(error, exit_code=2) from None


def describe_layers(part: nn.Module) -> list[LayerDescription]:
    """The recurrent layers in a module, in the order in which it holds them; no model is read.

    >>> [layer.name for layer in describe_layers(nn.LSTM(3, 8, num_layers=2, bidirectional=True))]
    ['layer 1 forward', 'layer 1 reverse', 'layer 2 forward', 'layer 2 reverse']
    """
    found: list[LayerDescription] = []
    for number, (_, layer, depth) in enumerate(_recurrent(part), 1):
        cell = cell_named(layer.cell)
        states, units = [state.name for state in cell.states if state.mixes], layer.hidden_sizes[depth]
        for direction in DIRECTIONS[: layer.num_directions]:
            name = f"layer {number} {direction}" if layer.bidirectional else f"layer {number}"
            found.append(LayerDescription(name, layer.specification.name, units, states, list(cell.gates)))
    return found


def count_heads(part: nn.Module) -> tuple[int, int] | None:
    """How many layers of self-attention a module holds, and how many heads each has; None where there are none.

    >>> from elman.models import build
    >>> count_heads(build({"model": "transformer", "vocab_size": 9, "hidden_size": 8, "num_heads": 2, "num_layers": 3}))
    (3, 2)
    """
    layers = [module for module in part.modules() if isinstance(module, Attention)]
    return (len(layers), layers[0].num_heads) if layers else None


def check_interventions(part: nn.Module, held: Sequence[Intervention]) -> None:
    """Raise `UserError` where the layers in a module have no such state, gate, unit or head.

    >>> check_interventions(nn.LSTM(3, 8), [Intervention(layer=1, gate="z")])
    Traceback (most recent call last):
    elman.errors.UserError: gate of layer 1: expected gate i or f or o, got 'z'
    """
    recurrent = _recurrent(part) if held else []
    attention = [module for module in part.modules() if isinstance(module, Attention)]
    for one in held:
        layers, what = (recurrent, "a recurrent layer") if one.head is None else (attention, "elman's self-attention")
        if one.layer > len(layers):
            expected = f"from 1 to {len(layers)}" if layers else f"{what}, of which the model has none"
            raise UserError("layer", expected=expected, got=one.layer, exit_code=2)
        if one.head is None:
            _check(one, *recurrent[one.layer - 1][1:])
        elif one.head > (heads := attention[one.layer - 1].num_heads):
            raise UserError("head", expected=f"from 1 to {heads}", got=one.head, exit_code=2)


def hold(model: M, held: Sequence[Intervention], part: str = "") -> M:
    """A model that shares its weights with this one, and in which units, gates and heads are held.

    Args:
        model: any module that holds, or is, recurrent layers of `elman.nn` or `torch.nn`, or attention of elman's
            models; it stays as it is.
        held: what is held; a head's output before the matrix that mixes heads.
        part: the name of the submodule whose layers are counted; by default all of the model's.

    Raises:
        UserError: there is no such layer, state, gate, unit or head.

    >>> from elman.nn import LSTM
    >>> layer, x = LSTM(3, 8), torch.randn(20, 1, 3)
    >>> held = hold(layer, [Intervention(layer=1, gate="f", unit=5, value=0.0)])  # unit 5 forgets all
    >>> bool((held(x)[0] != layer(x)[0])[1:].any()), held.weight_hh_l0 is layer.weight_hh_l0
    (True, True)
    """
    check_interventions(model.get_submodule(part), held)
    made = twin(model)
    layers = _recurrent(made.get_submodule(part))
    holds: dict[tuple[int, str], list[Intervention]] = {}
    for one in held:
        if one.head is not None:
            _hold_head(made.get_submodule(part), one.layer, one.head, one.value)
        else:
            holds.setdefault((one.layer, one.direction), []).append(one)
    for (number, direction), ones in holds.items():
        path, layer, depth = layers[number - 1]
        layer.holds = {**layer.holds, (depth, DIRECTIONS.index(direction)): _hold_of(ones)}
        made = _put(made, f"{part}.{path}".strip("."), layer)
    return made


def _recurrent(part: nn.Module) -> list[tuple[str, Recurrent, int]]:
    """The path of each recurrent layer's module, elman's own layer that computes as the module, and the depth in it."""
    modules = [(path, own_layer(module)) for path, module in part.named_modules() if isinstance(module, LAYERS)]
    return [(path, layer, depth) for path, layer in modules for depth in range(layer.num_layers)]


def _put(model: M, path: str, layer: Recurrent) -> M:
    """The layer in place of the module at a path."""
    if not path:
        return cast(M, layer)
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, layer)
    return model


def _check(one: Intervention, layer: Recurrent, depth: int) -> None:
    """Raise `UserError` where a recurrent layer has no such thing to hold."""
    cell = cell_named(layer.cell)
    kind, name = ("gate", one.gate) if one.gate is not None else ("state", one.state)
    names = list(cell.gates) if one.gate is not None else [state.name for state in cell.states if state.mixes]
    if name not in names:
        expected = f"{kind} {' or '.join(names)}" if names else f"no {kind}, for {cell.layer} has none"
        raise UserError(f"{kind} of layer {one.layer}", expected=expected, got=repr(name), exit_code=2)
    if one.direction == "reverse" and not layer.bidirectional:
        raise UserError("direction", expected="forward, the only one of the layer", got="reverse", exit_code=2)
    size = (layer.proj_size if name == "h" else 0) or layer.hidden_sizes[depth]
    if one.unit is not None and one.unit >= size:
        raise UserError("unit", expected=f"from 0 to {size - 1}, of layer {one.layer}", got=one.unit, exit_code=2)


def _hold_of(held: Sequence[Intervention]) -> Hold:
    """What puts the values in their places."""

    def holding(name: str, computed: Tensor) -> Tensor:
        for one in held:
            if name == (one.gate or one.state):
                computed = computed.clone()
                computed[..., slice(None) if one.unit is None else one.unit] = one.value
        return computed

    return holding


@torch.no_grad()
def _hold_head(part: nn.Module, layer: int, head: int, value: float) -> None:
    """Let a head's output be the value: its columns of the matrix that mixes heads act on a constant."""
    attention = [module for module in part.modules() if isinstance(module, Attention)][layer - 1]
    attention.out = copy.deepcopy(attention.out)
    columns = attention.out.weight[:, (head - 1) * attention.head_size : head * attention.head_size]
    attention.out.bias.add_(columns.sum(1), alpha=value)
    columns.zero_()
