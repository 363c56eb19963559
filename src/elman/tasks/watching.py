"""What the microscope shows of a session: a model reads a session's units once more, and every state is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from elman.arrays import Floats
from elman.cells import cell_named
from elman.errors import UserError
from elman.lens.activity import as_array, gates_of_unit, states_of
from elman.lens.attention import attention_weights
from elman.lens.observe import evaluating
from elman.lens.visit import LAYERS, LayerVisit, visit_layers
from elman.nn.attention import Attention
from elman.settings import UNITS, Section

MOST_SHOWN = 1024  # units of a layer
HIDDEN = "hidden state"


class WatchOptions(Section):
    """What is asked of a piece of a session."""

    layer: int = Field(1, ge=1, description="the layer whose gates are told")
    unit: int | None = Field(None, ge=0, lt=UNITS, description="the unit whose gates are told; none: no gates")
    units: Annotated[int, Field(ge=0, le=MOST_SHOWN)] | Annotated[list[int], Field(max_length=MOST_SHOWN)] = Field(
        60, description="the units whose states are told: so many that vary most, or a list of them"
    )
    attention_at: int | None = Field(None, ge=0, description="the place of the unit from which attention looks")
    top: int = Field(5, ge=0, le=100, description="how many candidates are told at each place")


@dataclass(frozen=True)
class AttendedUnits:
    """Where attention looked from one unit."""

    at: int  # the place of the unit in the session
    begin: int  # the place of the first unit that was seen; the last is the unit itself
    weights: Floats  # (L, N, S): layers, heads, units seen


@dataclass(frozen=True)
class Watched:
    """What happened while T units were read."""

    states: Mapping[str, Floats] = field(default_factory=dict)  # (T, H) by names such as "layer 1 h"
    gates: Mapping[str, Mapping[str, Floats]] = field(default_factory=dict)  # of a unit: (T,) by layer and gate
    attention: AttendedUnits | None = None
    told: Mapping[str, Any] = field(default_factory=dict)  # by the task: an entry for each unit


Steps = slice | npt.NDArray[np.int64]
"""The step of the layers that read each unit which is told; -1 for a unit that none of them read."""


@torch.no_grad()
def watch_memory(
    part: nn.Module, read: Callable[[], Tensor], options: WatchOptions, steps: Steps = slice(None)
) -> tuple[dict[str, Floats], dict[str, dict[str, Floats]], Tensor]:
    """The states and gates of a `Watched`, and the hidden states (1, T, H) that `read()` returns; it is called once.

    `part` holds the layers that are watched. A model without recurrent layers shows the hidden states. Raises
    `UserError` for a layer or a unit that there is not.
    """
    if not any(isinstance(layer, LAYERS) for layer in part.modules()):
        with evaluating(part):
            hidden = read()
        return {HIDDEN: of_units(as_array(hidden[0]), steps)}, {}, hidden
    heard: list[Tensor] = []
    visits = visit_layers(part, lambda: heard.append(read()))
    states = {name: of_units(values[0], steps) for name, values in states_of(visits).items()}
    asked = _gates(visits, options.layer, options.unit)
    gates = {name: {gate: of_units(one, steps) for gate, one in every.items()} for name, every in asked.items()}
    return states, gates, heard[0]


def of_units(values: Floats, steps: Steps) -> Floats:
    """Of values of each step, those of each unit: NaN for a unit that no step read.

    >>> of_units(np.array([1.0, 2.0]), np.array([-1, 0, 0, 1]))
    array([nan,  1.,  1.,  2.])
    """
    found = values[steps]
    if not isinstance(steps, slice):
        found[steps < 0] = np.nan
    return found


def _gates(visits: list[LayerVisit], layer: int, unit: int | None) -> dict[str, dict[str, Floats]]:
    """The gates of a unit of a layer, in each direction; none where no unit is asked for."""
    chosen = [visit for visit in visits if visit.name.split()[1] == str(layer)]
    if not chosen:
        last = visits[-1].name.split()[1]
        raise UserError("layer", expected=f"from 1 to {last}", got=layer, exit_code=2)
    if unit is None:
        return {}
    if unit >= (size := chosen[0].after[0].shape[-1]):
        raise UserError("unit", expected=f"from 0 to {size - 1}, a unit of layer {layer}", got=unit, exit_code=2)
    return {visit.name: gates_of_unit(visit, unit) for visit in chosen if cell_named(visit.cell).gates}


@torch.no_grad()
def watch_attention(model: nn.Module, read: Callable[[], object], at: int) -> AttendedUnits | None:
    """Where self-attention looks from the unit at a place, the only one that `read()` reads; None: there is none.

    Only what the session has read is told, though a memory may have room for more.
    """
    if not any(isinstance(part, Attention) for part in model.modules()):
        return None
    every = torch.stack([torch.from_numpy(weights[0, :, -1]) for weights in attention_weights(model, read)])
    seen = min(every.shape[-1], at + 1)
    return AttendedUnits(at, at + 1 - seen, every[..., -seen:].numpy())
