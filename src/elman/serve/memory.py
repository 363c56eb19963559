"""Memories as bytes: a safetensors file, which holds tensors by their names and JSON, and nothing that runs.

The tensors of memory k are `k.state.…`, by their places in the tree (`elman.state.flatten`). The file's metadata has
one entry, `elman`: JSON with `memories`, a position and the notes of each, and whatever the file is about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from elman import strict_json
from elman.errors import UserError
from elman.state import State, fits, flatten, leaves, unflatten
from elman.tasks.listening import Memory

KEY = "elman"


def pack(memories: Sequence[Memory], about: Mapping[str, Any]) -> bytes:
    """Memories and what they are about, as a safetensors file."""
    tensors: dict[str, Any] = {}
    listed = []
    for number, memory in enumerate(memories):
        listed.append(
            {
                "position": memory.position,
                "notes": memory.notes,
                "empty": isinstance(memory.state, tuple) and not memory.state,
            }
        )
        tensors |= {name: x.detach().cpu().contiguous() for name, x in flatten(memory.state, f"{number}.state").items()}
    text = json.dumps({**about, "memories": listed}, allow_nan=False)
    return safetensors.torch.save(_apart(tensors), {KEY: text})


def _apart(tensors: dict[str, Any]) -> dict[str, Any]:
    """Tensors, none of which lies where another does, as the format asks for."""
    seen: set[int] = set()
    found = {}
    for name, x in tensors.items():
        place = x.untyped_storage().data_ptr()
        found[name] = x.clone() if place in seen or x.untyped_storage().nbytes() > x.nbytes else x
        seen.add(place)
    return found


def unpack(data: bytes, like: State, mark: str, where: str = "state") -> tuple[list[Memory], dict[str, Any]]:
    """The inverse of `pack`, for memories of a model with this mark, whose states have the tree and sizes of `like`.

    Raises `UserError`, which begins with `where`, for any other bytes.
    """
    expected = "what a session with this model was saved as"
    try:
        tensors = safetensors.torch.load(data)
        about = read_about(data)
        if about["mark"] != mark:
            raise ValueError("another model's")
        memories = [_memory(tensors, number, one, like) for number, one in enumerate(about.pop("memories"))]
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(where, expected=expected, got=f"{len(data):,} other bytes ({error})") from None
    return memories, about


def read_about(data: bytes) -> dict[str, Any]:
    """What a file is about, of at least its header. Raises `ValueError` or `KeyError` where it is none of ours."""
    length = int.from_bytes(data[:8], "little")
    about: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY])
    return about


def _memory(tensors: Mapping[str, Any], number: int, one: Mapping[str, Any], like: State) -> Memory:
    position, notes = one["position"], one["notes"]
    if not (isinstance(position, int) and 0 <= position < 2**53 and isinstance(notes, dict)):
        raise ValueError("a memory has a position and notes")
    if one["empty"]:
        return Memory((), notes, position)
    prefix = f"{number}.state"
    state = unflatten({name: x for name, x in tensors.items() if name.startswith(prefix)}, like, prefix)
    if not fits(state, like):
        raise ValueError("tensors of other sizes or types")
    return Memory(state, notes, position)


def to_json(memory: Memory) -> dict[str, Any]:
    """A memory for people and programs to look at: each tensor's numbers by its name; null is none that is finite."""
    state = {
        name: {"shape": list(x.shape), "dtype": str(x.dtype).removeprefix("torch."), "data": x.flatten().tolist()}
        for name, x in flatten(memory.state).items()
    }
    found: dict[str, Any] = strict_json.finite({"position": memory.position, "notes": memory.notes, "state": state})
    return found


def bytes_of(memory: Memory) -> int:
    """How much RAM a memory takes, about."""
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in leaves(memory.state)}
    noted = sum(len(note) for note in memory.notes.values() if isinstance(note, list))
    return 500 + 80 * noted + 200 * len(storages) + sum(storages.values())
