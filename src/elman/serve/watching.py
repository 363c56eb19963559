"""What one sees of a piece of a session: surprise, candidates, states, gates and attention, as arrays or as JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from elman.arrays import Floats
from elman.errors import UserError
from elman.settings import complaint
from elman.tasks.listening import Memory, Unit
from elman.tasks.task import Trained
from elman.tasks.watching import WatchOptions

MOST_UNITS = 2000  # of a session that are watched at once
MOST_VALUES = 4_000_000  # of states in an answer


def watch_options(asked: Mapping[str, Any]) -> WatchOptions:
    """The options of a request. Raises `UserError` for what there is not, or what is out of its range."""
    try:
        return WatchOptions.model_validate(dict(asked))
    except ValidationError as error:
        raise complaint(error, exit_code=2) from None


def watch(
    run: Trained, memory: Memory, units: Sequence[Unit], pieces: Sequence[str], options: WatchOptions
) -> dict[str, Any]:
    """What happens while the `units` of a session, whose texts are `pieces`, are read from the memory before them.

        {"from", "to", "pieces", "states": {"layer 1 h": {"units": [U], "values": (U, T)}, …},
         "gates": {"layer 1": {"i": (T,), …}},
         "attention": {"at", "from", "layers", "heads", "values": (L, N, S)} or None,
         and what the task tells of each unit, for a language model "surprise" and "next"}

    Raises:
        UserError: more units than `MOST_UNITS`, or options that do not fit the model.
    """
    begin, end = memory.position, memory.position + len(units)
    if len(units) > MOST_UNITS:
        raise UserError("a piece of a session", expected=f"at most {MOST_UNITS:,} units", got=len(units), exit_code=2)
    at = options.attention_at
    if at is not None and not begin <= at < end:
        raise UserError("attention_at", expected=f"a place from {begin} to {end - 1}", got=at, exit_code=2)
    found = run.task.watch(run, memory, units, options)
    states = {name: _chosen(name, values, options.units) for name, values in found.states.items()}
    if (size := sum(part["values"].size for part in states.values())) > MOST_VALUES:
        raise UserError("states", expected=f"at most {MOST_VALUES:,} numbers", got=size, remedy="ask for fewer units")
    told = {"from": begin, "to": end, "pieces": list(pieces), **found.told, "states": states, "gates": found.gates}
    if (seen := found.attention) is None:
        return told | {"attention": None}
    layers, heads, _ = seen.weights.shape
    where = {"at": seen.at, "from": seen.begin, "layers": layers, "heads": heads, "values": seen.weights}
    return told | {"attention": where}


def _chosen(name: str, values: Floats, units: int | Sequence[int]) -> dict[str, Any]:
    """The states (U, T) of some of the units of `values` (T, H)."""
    from elman.lens.activity import most_active

    H = values.shape[1]
    if isinstance(units, int):
        chosen = most_active(values, units)
    elif all(0 <= unit < H for unit in units):
        chosen = np.array(units, dtype=np.int64)
    else:
        raise UserError("units", expected=f"from 0 to {H - 1}, units of {name}", got=list(units), exit_code=2)
    return {"units": chosen.tolist(), "values": values[:, chosen].T}


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
