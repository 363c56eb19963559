"""What one sees of a piece of a session: surprise, candidates, states, gates and attention, as arrays or as JSON.

The piece is read once more, from the nearest memory of the session's trail, by a twin of the model, in any thread. What
was read while units were held is read so again.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field

from elman.arrays import Floats
from elman.errors import UserError
from elman.lens import hold, interventions, most_active, places
from elman.lens.places import memory_of
from elman.serve.session import Trail
from elman.tasks.configuration import make_section
from elman.tasks.exchange import Trained
from elman.tasks.listening import Memory, Unit
from elman.tasks.watching import Watched, WatchOptions

MOST_UNITS = 2000  # of a session that are watched at once
MOST_VALUES = 4_000_000  # of states in an answer
LAYER = ("name", "cell", "units", "states", "gates")  # what is said of a layer
CONTEXT = 64  # units before a piece that its text may go on from

TextOf = Callable[[Sequence[Unit]], list[str]]


class PieceOptions(WatchOptions):
    """Which piece of a session is watched, and what of it."""

    model_config = ConfigDict(populate_by_name=True)

    begin: int | None = Field(None, ge=0, alias="from")  # None: the last `MOST_UNITS`, or all
    end: int | None = Field(None, ge=0, alias="to")  # None: to the last unit


class TrailStretch(NamedTuple):
    """Units that were read in one way, after one of the memories of a trail."""

    memory: Memory
    units: Sequence[Unit]
    skip: int  # so many of the units come before the piece
    held: Sequence[Mapping[str, Any]]


def stretches(trail: Trail, begin: int, end: int, *, lag: int = 0) -> Iterator[TrailStretch]:
    """The units of a trail from a position to another, parted where something began or ceased to be held.

    `lag`: what is told of a unit happened so many units before it.
    """
    changes = {at + lag for first, last, _ in trail.held for at in (first, last)}
    borders = sorted({begin, end, *(at for at in changes if begin < at < end)})
    for first, last in pairwise(borders):
        memory = trail.nearest(max(first - lag, trail.base.position))
        units, held = trail.ahead(memory, last)
        yield TrailStretch(memory, units, first - memory.position, held)


def watch(run: Trained, trail: Trail, text_of: TextOf, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What happens while a piece of a session is read once more; `text_of` is the listener's.

        {"from", "to", "pieces": [T], "states": {"layer 1 h": {"units": [U], "values": (U, T)}, …},
         "gates": {"layer 1": {"i": (T,), …}},
         "attention": {"at", "from", "layers", "heads", "values": (L, N, S)} or None,
         and what the task tells of each unit, for a language model "surprise" and "next"}

    The states of a layer are those of the same units, by default of those whose last state varies most.

    Raises:
        UserError: there is no such piece, it is longer than `MOST_UNITS`, or an option does not fit the model.
    """
    options = make_section(PieceOptions, asked)
    first, last = trail.base.position, trail.memory.position
    end = last if options.end is None else options.end
    begin = max(first, end - MOST_UNITS) if options.begin is None else options.begin
    if not first <= begin <= end <= last:
        raise UserError("a piece", expected=f"from {first} or later, to {last} or earlier", got=f"{begin} to {end}")
    if end - begin > MOST_UNITS:
        raise UserError("a piece", expected=f"at most {MOST_UNITS:,} units", got=f"{end - begin:,}")
    if (at := options.attention_at) is not None and not begin <= at < end:
        raise UserError("attention_at", expected=f"a place from {begin} to {end - 1}", got=at)
    parts = list(stretches(trail, begin, end, lag=run.task.watch_lag))
    lengths = [len(part.units) - part.skip for part in parts]
    found = _joined([_watched(run, part, options) for part in parts], lengths)
    states = _chosen(found.states, options.units)
    if (size := sum(part["values"].size for part in states.values())) > MOST_VALUES:
        raise UserError(
            "states", expected=f"at most {MOST_VALUES:,} numbers", got=f"{size:,}", remedy="watch fewer units"
        )
    context = max(first, begin - CONTEXT)
    pieces = text_of(trail.units[context - first : end - first])[begin - context :]
    told = {"from": begin, "to": end, "pieces": pieces, **found.told}
    told |= {"states": states, "gates": found.gates, "attention": None}
    if (seen := found.attention) is not None:
        layers, heads, _ = seen.weights.shape
        where = {"at": seen.at, "from": seen.begin, "layers": layers, "heads": heads}
        told["attention"] = where | {"values": seen.weights}
    return told


def _watched(run: Trained, stretch: TrailStretch, options: PieceOptions) -> Watched:
    memory, units, skip, held = stretch
    at = options.attention_at
    if at is not None and not memory.position + skip <= at < memory.position + len(units):
        options = options.model_copy(update={"attention_at": None})
    return run.task.watch(run.with_model(hold(run.model, interventions(held))), memory, units, skip, options)


def _joined(parts: Sequence[Watched], lengths: Sequence[int]) -> Watched:
    """Parts of so many units, one after the other; NaN where a part does not show what others show."""
    if len(parts) < 2:
        return parts[0] if parts else Watched()
    layers = dict.fromkeys(layer for part in parts for layer in part.gates)
    told = [name for name in parts[0].told if all(name in part.told for part in parts)]
    return Watched(
        _in_a_row([part.states for part in parts], lengths),
        {layer: _in_a_row([part.gates.get(layer, {}) for part in parts], lengths) for layer in layers},
        next((part.attention for part in parts if part.attention is not None), None),
        {name: _in_one([part.told[name] for part in parts]) for name in told},
    )


def _in_a_row(every: Sequence[Mapping[str, Floats]], lengths: Sequence[int]) -> dict[str, Floats]:
    """By name, arrays of so many units each: NaN of the units of those that have no such array."""
    shapes = {name: values.shape[1:] for one in every for name, values in one.items()}
    return {
        name: np.concatenate(
            [one.get(name, np.full((length, *shape), np.nan)) for one, length in zip(every, lengths, strict=True)]
        )
        for name, shape in shapes.items()
    }


def _in_one(every: Sequence[Any]) -> Any:
    """Lists, or arrays; a matrix that is less wide than others has NaN on the right."""
    if not isinstance(every[0], np.ndarray):
        return [one for part in every for one in part]
    if every[0].ndim == 2:
        most = max(part.shape[1] for part in every)
        every = [np.pad(part, ((0, 0), (0, most - part.shape[1])), constant_values=np.nan) for part in every]
    return np.concatenate(every)


def _chosen(states: Mapping[str, Floats], asked: int | Sequence[int]) -> dict[str, Any]:
    """The states (U, T) of some units of each layer, of states (T, H)."""
    sizes = [values.shape[1] for values in states.values()]
    if not isinstance(asked, int) and sizes and any(not 0 <= unit < max(sizes) for unit in asked):
        raise UserError("units", expected=f"from 0 to {max(sizes) - 1}", got=list(asked))
    units: dict[tuple[str, int], list[int]] = {}  # by layer, and size where its states differ in size
    for name, values in states.items():
        place = name.rpartition(" ")[0], values.shape[1]
        units[place] = (
            most_active(values, asked).tolist()
            if isinstance(asked, int)
            else [unit for unit in asked if unit < values.shape[1]]
        )
    if not asked:
        return {}
    chosen = {name: units[name.rpartition(" ")[0], values.shape[1]] for name, values in states.items()}
    return {name: {"units": chosen[name], "values": values[:, chosen[name]].T} for name, values in states.items()}


def describe_memory(run: Trained) -> dict[str, Any]:
    """What can be watched of a run's model: "layers", and "heads", None where there is no self-attention; and "places".

    The places are those in which something can be held: `elman.lens.places`.
    """
    own = places(memory_of(run.model))
    layers = [{name: getattr(place, name) for name in LAYER} for place in own if not place.heads]
    attention = [place for place in own if place.heads and "attention" not in place.address]
    heads = {"layers": len(attention), "heads": attention[0].heads} if attention else None
    return {"layers": layers, "heads": heads, "places": [asdict(place) for place in places(run.model)]}


def as_json(told: Any) -> Any:
    """Arrays as {"shape": […], "data": base64 of little-endian float32}, beside what lies beside them.

    >>> as_json({"units": [3], "values": np.array([[1.0, 2.0]])})
    {'units': [3], 'shape': [1, 2], 'data': 'AACAPwAAAEA='}
    """
    if isinstance(told, np.ndarray):
        packed = base64.b64encode(np.ascontiguousarray(told, "<f4").tobytes()).decode("ascii")
        return {"shape": list(told.shape), "data": packed}
    if isinstance(told, Mapping):
        found = {key: as_json(value) for key, value in told.items()}
        return {key: value for key, value in found.items() if key != "values"} | found.get("values", {})
    return told
