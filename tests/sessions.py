"""Sessions that speak to one listener, each work begun at any round: what a server does, without one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import elman
from elman.cli import run as command
from elman.errors import UserError
from elman.runs import Run
from elman.serve.memory import pack, unpack
from elman.state import flatten
from elman.tasks.listening import Listener, Memory, Work


def stored(listener: Listener, memory: Memory) -> Memory:
    """A memory after a way through a file."""
    ((again,), _) = unpack(pack([memory], {"mark": "m"}), listener.like, "m")
    listener.check_memory(again)
    return again


@dataclass
class Session:
    """What a session asks, one after the other, and what it was told."""

    asked: Sequence[tuple[str, Mapping[str, Any]]]
    begins: int = 0  # the round in which its first work may begin
    told: list[Any] = field(default_factory=list)
    events: list[list[Any]] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    units: list[Any] = field(default_factory=list)


def speak(listener: Listener, sessions: Sequence[Session], *, most: int = 1000) -> None:
    """Let all sessions ask all that they ask; every memory goes through a file between two works."""
    begin = listener.begin()
    works: dict[int, Work] = {}
    for session in sessions:
        session.memories.append(begin)
    for turn in range(most):
        for at, session in enumerate(sessions):
            while at not in works and turn >= session.begins and len(session.told) < len(session.asked):
                kind, asked = session.asked[len(session.told)]
                try:
                    works[at] = Work(kind, listener.check(kind, asked), stored(listener, session.memories[-1]))
                    session.events.append([])
                except UserError as error:
                    session.told.append(error)
        if not works and all(len(session.told) == len(session.asked) for session in sessions):
            return
        listener.round(list(works.values()))
        for at, work in [*works.items()]:
            session = sessions[at]
            assert all(not leaf.requires_grad for leaf in flatten(work.memory.state).values())
            session.events[-1] += work.events
            work.events.clear()
            if work.done:
                assert work.error is None or work.memory.position == session.memories[-1].position
                json.dumps(work.answer, allow_nan=False)
                session.told.append(work.error or work.answer)
                session.memories.append(work.memory)
                session.units += work.units
                assert work.memory.position == len(session.units)
                del works[at]
    raise AssertionError("the sessions never end")


def alone(listener: Listener, *asked: tuple[str, Mapping[str, Any]]) -> Session:
    """One session by itself."""
    session = Session(asked)
    speak(listener, [session])
    return session


def close(first: Any, second: Any, bound: float = 1e-5) -> None:
    """Two answers are equal, and their numbers within a bound of each other."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for name in first:
            close(first[name], second[name], bound)
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), (first, second)
        for one, other in zip(first, second, strict=True):
            close(one, other, bound)
    elif isinstance(first, float) and isinstance(second, float):
        assert torch.isclose(torch.tensor(first), torch.tensor(second), rtol=bound, atol=bound), (first, second)
    else:
        assert first == second


def imported(task: str, module: torch.nn.Module, folder: Path, **given: Sequence[str]) -> Run:
    """A model of torch.nn as a run; `given` are the lines of files that are given beside it."""
    folder.mkdir()
    torch.save(module.state_dict(), folder / "model.pt")
    arguments = [str(folder / "model.pt"), "--task", task]
    for name, lines in given.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        arguments += [f"--{name}", str(folder / f"{name}.txt")]
    arguments += ["--window", "12"] if task == "forecasting" else []
    assert command(["import", *arguments, "-o", str(folder / "run")]) == 0
    return elman.load(folder / "run")
