"""What one sees of a piece of a session: surprise, candidates, states, gates and attention, as arrays or as JSON.

The piece is read once more, from the nearest memory of the session's trail, by a twin of the model, in any thread. What
was read while units were held is read so again.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field

from elman.arrays import Floats
from elman.errors import UserError
from elman.lens import count_heads, describe_layers, hold, interventions, most_active
from elman.serve.session import Trail
from elman.tasks.configuration import make_section
from elman.tasks.exchange import Trained
from elman.tasks.listening import Memory, Unit
from elman.tasks.watching import Watched, WatchOptions

MOST_UNITS = 2000  # of a session that are watched at once
MOST_VALUES = 4_000_000  # of states in an answer
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


def stretches(trail: Trail, begin: int, end: int) -> Iterator[TrailStretch]:
    """The units of a trail from a position to another, parted where something began or ceased to be held."""
    borders = sorted({begin, end, *(at for first, last, _ in trail.held for at in (first, last) if begin < at < end)})
    for first, last in pairwise(borders):
        memory = trail.nearest(first)
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
    found = _joined([_watched(run, stretch, options) for stretch in stretches(trail, begin, end)])
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
    model = hold(run.model, interventions(held), run.task.memory_part(run.model))
    return run.task.watch(replace(run, model=model), memory, units, skip, options)


def _joined(parts: Sequence[Watched]) -> Watched:
    """One after the other."""
    if len(parts) < 2:
        return parts[0] if parts else Watched()
    first, *_ = parts

    def joined(every: Sequence[Any]) -> Any:
        return np.concatenate(every) if isinstance(every[0], np.ndarray) else [one for part in every for one in part]

    return Watched(
        {name: joined([part.states[name] for part in parts]) for name in first.states},
        {
            layer: {name: joined([part.gates[layer][name] for part in parts]) for name in gates}
            for layer, gates in first.gates.items()
        },
        next((part.attention for part in parts if part.attention is not None), None),
        {name: joined([part.told[name] for part in parts]) for name in first.told},
    )


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
    """What can be watched and held of a run's model: "layers", and "heads", None where there is no self-attention."""
    part = run.model.get_submodule(run.task.memory_part(run.model))
    heads = count_heads(part)
    told = None if heads is None else {"layers": heads[0], "heads": heads[1]}
    return {"layers": [asdict(layer) for layer in describe_layers(part)], "heads": told}


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
