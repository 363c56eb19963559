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
from typing import Any, Literal, TypeVar, cast

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from elman.cells import Hold
from elman.errors import UserError
from elman.lens.observe import twin
from elman.lens.places import ATTENTION, HeadsTarget, HoldablePlace, Target, find_places
from elman.nn.recurrent import Recurrent
from elman.settings import LAYERS as MOST_LAYERS
from elman.settings import UNITS, Section, complaint

M = TypeVar("M", bound=nn.Module)
NAMED = 12  # places that an error names


class Intervention(Section):
    """A value, and where it is held: layers and heads count from 1, units from 0.

    >>> Intervention(layer=1, gate="f", unit=5, value=1.0).gate
    'f'
    """

    layer: int = Field(ge=1, le=MOST_LAYERS)
    state: str | None = Field(None, description="a state: h, c")
    gate: str | None = Field(None, description="or a gate: i, f, o, …, with a value from 0 to 1")
    head: int | None = Field(None, ge=1, description="or the output of a head of attention")
    unit: int | None = Field(None, ge=0, lt=UNITS, description="none: every unit")
    value: float = 0.0
    direction: Literal["forward", "reverse"] = Field("forward", description="of a layer that reads in both")
    attention: Literal["self", "cross"] = Field("self", description="of a head; cross: a decoder's, to the source")
    part: Literal["encoder", "decoder"] | None = Field(None, description="of an encoder-decoder; none: the decoder")

    @model_validator(mode="after")
    def _one(self) -> Intervention:
        if sum(part is not None for part in (self.state, self.gate, self.head)) != 1:
            raise ValueError('what is held: expected one of "state", "gate" and "head"')
        if self.head is not None and self.unit is not None:
            raise ValueError("a head: expected no unit, for it is held as a whole")
        if self.gate is not None and not 0 <= self.value <= 1:
            raise ValueError(f"a gate: expected a value from 0 to 1, got {self.value:g}")
        return self

    @property
    def place(self) -> str:
        """The name of the place that is asked for, as `places` has names of such places."""
        layer = f"{self.part or ''} layer {self.layer}".strip()
        if self.head is not None:
            return f"{ATTENTION[self.attention]} of {layer}"
        return layer if self.direction == "forward" else f"{layer} {self.direction}"


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


def check_interventions(model: nn.Module, held: Sequence[Intervention], part: str | None = None) -> None:
    """Raise `UserError` where a model has no such state, gate, unit or head; `part` is that of `hold`.

    >>> check_interventions(nn.LSTM(3, 8), [Intervention(layer=1, gate="z")])
    Traceback (most recent call last):
    elman.errors.UserError: layer 1: expected state h or c, or gate i, f or o, got gate 'z'
    """
    _targets(model, held, part)


def hold(model: M, held: Sequence[Intervention], part: str | None = None) -> M:
    """A model that shares its weights with this one, and in which units, gates and heads are held.

    Args:
        model: any module that holds, or is, recurrent layers of `elman.nn` or `torch.nn`, or attention of elman's
            models; it stays as it is.
        held: what is held; a head's output before the matrix that mixes heads. The attention of a recurrent decoder
            is one head of its last layer, whose output is the context.
        part: the name of the submodule whose layers are counted; by default as `places` says.

    Raises:
        UserError: there is no such layer, state, gate, unit or head.

    >>> from elman.nn import LSTM
    >>> layer, x = LSTM(3, 8), torch.randn(20, 1, 3)
    >>> held = hold(layer, [Intervention(layer=1, gate="f", unit=5, value=0.0)])  # unit 5 forgets all
    >>> bool((held(x)[0] != layer(x)[0])[1:].any()), held.weight_hh_l0 is layer.weight_hh_l0
    (True, True)
    """
    made = twin(model)
    holds: dict[tuple[str, int, int], tuple[Recurrent, list[Intervention]]] = {}
    for one, target in zip(held, _targets(made, held, part), strict=True):
        if isinstance(target, HeadsTarget):
            made = _put(made, target.path, _with_head(made.get_submodule(target.path), target, one))
        else:
            path, layer, depth, direction = target
            holds.setdefault((path, depth, direction), (layer, []))[1].append(one)
    for (path, depth, direction), (layer, ones) in holds.items():
        layer.holds = {**layer.holds, (depth, direction): _hold_of(ones)}
        made = _put(made, path, layer)
    if held:
        cast(Any, made).interventions = (*getattr(model, "interventions", ()), *held)
    return made


def _targets(model: nn.Module, held: Sequence[Intervention], part: str | None) -> list[Target]:
    """What each intervention holds something of."""
    found = find_places(model, part) if held else []
    return [_target(one, found) for one in held]


def _target(one: Intervention, found: Sequence[tuple[HoldablePlace, Target]]) -> Target:
    parted = any("part" in place.address for place, _ in found)  # then it is the decoder that has no name
    names: dict[str, Any] = {"layer": one.layer, "part": None if parted and one.part == "decoder" else one.part}
    names |= {"attention": one.attention} if one.head is not None else {"direction": one.direction}
    for place, target in found:
        address = {"part": None, "attention": "self", "direction": "forward", **place.address}
        if bool(place.heads) == (one.head is not None) and all(address[name] == names[name] for name in names):
            _check(one, place, target)
            return target
    known = [place.name for place, _ in found]
    there = " or ".join(known[:NAMED]) + (f" or … {known[-1]}" if len(known) > NAMED else "")
    expected = there or "a model with recurrent layers or attention"
    raise UserError("a place to hold", expected=expected, got=one.place, exit_code=2)


def _check(one: Intervention, place: HoldablePlace, target: Target) -> None:
    """Raise `UserError` where a place has no such thing to hold."""
    if isinstance(target, HeadsTarget):
        if one.head is not None and one.head > place.heads:
            expected = f"from 1 to {place.heads}, of {place.name}"
            raise UserError("head", expected=expected, got=one.head, exit_code=2)
        return
    kind, name = ("state", one.state) if one.state is not None else ("gate", one.gate)
    if name not in (place.states if kind == "state" else place.gates):
        known = [f"{what} {_any_of(some)}" for what, some in (("state", place.states), ("gate", place.gates)) if some]
        raise UserError(place.name, expected=", or ".join(known), got=f"{kind} {name!r}", exit_code=2)
    if one.unit is not None and one.unit >= (size := target.size(cast(str, name))):
        raise UserError("unit", expected=f"from 0 to {size - 1}, of {place.name}", got=one.unit, exit_code=2)


def _any_of(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _put(model: M, path: str, layer: nn.Module) -> M:
    """The layer in place of the module at a path."""
    if not path:
        return cast(M, layer)
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, layer)
    return model


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
def _with_head(mixing: nn.Module, target: HeadsTarget, one: Intervention) -> nn.Module:
    """The matrix that mixes heads, on which a head's output acts as a constant: the value."""
    made = copy.deepcopy(cast(nn.Linear, mixing))
    begin = target.first + (cast(int, one.head) - 1) * target.size
    columns = made.weight[:, begin : begin + target.size]
    made.bias.add_(columns.sum(1), alpha=one.value)
    columns.zero_()
    return made
