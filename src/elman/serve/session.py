"""A session as the server keeps it: the trail of what was read and written, with memories along it to go back to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elman.serve.memory import bytes_of
from elman.state import entries
from elman.tasks.listening import Memory, Unit

SPACING = 64  # units between two memories of a trail, at first
MOST = 32  # memories of a trail; where there are more, every other one goes


@dataclass(eq=False)
class Trail:
    """Units in order, and memories before, after and between them. Memories are shared with forks.

    >>> trail = Trail(Memory((), {}, 0), Memory((), {}, 0))
    >>> trail.extend(Memory((), {}, 100), list("a" * 100), [Memory((), {}, 70)])
    >>> trail.nearest(90).position, trail.ahead(trail.nearest(72), 72)
    (70, (['a', 'a'], ()))
    """

    base: Memory  # before the first unit
    memory: Memory  # after the last
    units: list[Unit] = field(default_factory=list)
    snapshots: list[Memory] = field(default_factory=list)  # in their order
    pins: dict[int, Memory] = field(default_factory=dict)  # by position, memories that stay
    held: list[tuple[int, int, Any]] = field(
        default_factory=list
    )  # from and to which position units were held, at what
    spacing: int = SPACING

    def extend(self, memory: Memory, units: Sequence[Unit], between: Sequence[Memory] = (), held: Any = ()) -> None:
        """So many units were read or written, with memories between; units of the model were held meanwhile, or not."""
        before = self.memory
        if memory.position != before.position + len(units):  # of something else: there is no way back
            self.__init__(memory, memory)  # type: ignore[misc]
            return
        for each in (before, *between):
            last = self.snapshots[-1].position if self.snapshots else self.base.position
            if last + self.spacing <= each.position < memory.position and not entries(each.state):
                self.snapshots.append(each)
        if held and units:
            first = before.position
            if self.held and self.held[-1][1:] == (first, held):  # as in the request before
                first, *_ = self.held.pop()
                self.pins.pop(before.position, None)
            else:
                self.pins[first] = before
            self.held.append((first, memory.position, held))
            self.pins[memory.position] = memory
        while len(self.snapshots) > MOST:
            self.snapshots, self.spacing = self.snapshots[1::2], 2 * self.spacing
        self.units += units
        self.memory = memory

    def nearest(self, position: int) -> Memory:
        """The last memory up to a position."""
        return max((m for m in self.memories() if m.position <= position), key=lambda m: m.position)

    def until(self, memory: Memory) -> Trail:
        """The trail up to one of its memories."""
        position = memory.position
        return Trail(
            self.base,
            memory,
            self.units[: position - self.base.position],
            [m for m in self.snapshots if m.position <= position],
            {at: m for at, m in self.pins.items() if at <= position},
            [(first, min(last, position), held) for first, last, held in self.held if first < position],
            self.spacing,
        )

    def ahead(self, memory: Memory, position: int) -> tuple[list[Unit], Any]:
        """The units from one of the memories to a position, and what was held at what meanwhile."""
        first = self.base.position
        held = next((held for start, end, held in self.held if start <= memory.position < end), ())
        return self.units[memory.position - first : position - first], held

    def memories(self) -> Iterator[Memory]:
        """All of them."""
        yield from (self.base, *self.snapshots, *self.pins.values(), self.memory)

    def to_json(self, number: Mapping[int, int]) -> dict[str, Any]:
        """For a file, where memories are numbers by their `id`."""
        return {
            "base": number[id(self.base)],
            "memory": number[id(self.memory)],
            "units": self.units,
            "snapshots": [number[id(m)] for m in self.snapshots],
            "pins": [number[id(m)] for m in self.pins.values()],
            "held": self.held,
            "spacing": self.spacing,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], memories: Sequence[Memory]) -> Trail:
        """The inverse of `to_json`."""
        pins = [memories[number] for number in data["pins"]]
        return cls(
            memories[data["base"]],
            memories[data["memory"]],
            data["units"],
            [memories[number] for number in data["snapshots"]],
            {memory.position: memory for memory in pins},
            [tuple(each) for each in data["held"]],
            data["spacing"],
        )


@dataclass(eq=False)
class Content:
    """What of a session takes room, and goes to the disk if need be."""

    trail: Trail
    checkpoints: dict[str, Trail] = field(default_factory=dict)
    saved: bool = False  # whether the file on the disk holds just this

    def memories(self) -> dict[int, Memory]:
        """All memories, by their `id`."""
        return {id(memory): memory for trail in (self.trail, *self.checkpoints.values()) for memory in trail.memories()}

    def parts(self) -> list[Any]:
        """All that takes room: memories, and lists of units. Forks share memories."""
        return [*self.memories().values(), *(trail.units for trail in (self.trail, *self.checkpoints.values()))]

    def sizes(self) -> dict[int, int]:
        """Bytes of each part, by its `id`."""
        return {id(part): bytes_of(part) if isinstance(part, Memory) else room_of(part) for part in self.parts()}


def room_of(units: Sequence[Unit]) -> int:
    """How much RAM units take, about: as if each had the size of the last one."""
    last = units[-1] if units else 0
    inner = 40 * len(last) if isinstance(last, list | tuple | dict | str) else 0
    return 100 + (40 + inner) * len(units)


@dataclass(eq=False)
class SessionRecord:
    """A session: what is always in memory, and its content."""

    id: str
    model: str
    parent: str | None = None
    position: int = 0
    checkpoints: dict[str, int] = field(default_factory=dict)  # positions by id
    content: Content | None = None  # None: it is on the disk
    job: Any = None  # what it does now
    used: float = field(default_factory=time.time)  # seconds since the epoch
    bytes: int = 0

    @property
    def busy(self) -> bool:
        """Whether it does something now."""
        return self.job is not None
