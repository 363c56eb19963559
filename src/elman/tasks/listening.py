"""How many sessions speak to one model, each with a memory of its own: what a server asks of a task.

A session asks one thing after another: to read something (`feed`), or to write (`generate`). A request that is under
way is a `Work`. Once a round, a `Listener` moves the works of all sessions that are due by a little, together: works
join and leave between two rounds, so that a long one keeps nobody waiting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from elman.errors import UserError
from elman.state import State

Unit = Any
"""What a session reads or writes at once, as JSON holds it: a number of a token, a word, a row of values."""


class Memory(NamedTuple):
    """All that a model remembers of a session between two works.

    A memory is never changed: a work that goes on from one makes another. So a fork or a checkpoint is a reference.
    """

    state: State  # of one row, without gradients; () where the model keeps none
    notes: Mapping[str, Any]  # what a tree of tensors cannot hold, as JSON holds it
    position: int = 0  # how many units the session has read and written


@dataclass(eq=False)
class Work:
    """A request that is under way."""

    kind: str  # "feed" or "generate"
    request: Any  # what `Listener.check` made of what was asked
    memory: Memory  # after what was done so far, or some units before; up to date when the work is done or left
    events: list[dict[str, Any]] = field(default_factory=list)  # in order; whoever tells them empties the list
    units: list[Unit] = field(default_factory=list)  # read or written since the work began, in order
    answer: dict[str, Any] | None = None  # there when the work is done
    error: UserError | None = None  # why there will be no answer; the memory is then the one before the work

    @property
    def done(self) -> bool:
        """Whether the work has an answer, or will have none."""
        return self.answer is not None or self.error is not None


class Listener(ABC):
    """A trained model that many sessions speak to. One thread calls it, but for `check`, which any thread may call."""

    writes: ClassVar[bool] = False  # whether there is something to `generate`
    completes: ClassVar[bool] = False  # whether what is written goes on with what was read

    @abstractmethod
    def begin(self) -> Memory:
        """The memory of a session that has read nothing."""

    @abstractmethod
    def check(self, kind: str, asked: Mapping[str, Any]) -> Any:
        """What the works of a kind need of a request from outside, {"units": [...]} among the forms of a feed.

        Raises:
            UserError: the request is not right; nothing was read.
        """

    def size(self, request: Any) -> int:
        """How many units a checked request reads, or writes at most, which a server limits: its `units`, if any."""
        return len(getattr(request, "units", ()))

    @abstractmethod
    def round(self, works: Sequence[Work]) -> None:
        """Move each work by a little. An input that makes no sense is the `error` of its own work alone.

        Where this raises, every work that is not done goes on from its memory in the next round, perhaps alone.
        """

    def leave(self, work: Work) -> None:  # noqa: B027
        """The work will not be in another round, though it is not done: its memory is made up to date.

        An answer may say how far the work came; without one, its server says that it was cancelled.
        """

    @property
    def like(self) -> State:
        """The tree of a memory's state, with tensors of the right types, for a state that is read from a file."""
        return self.begin().state

    def check_memory(self, memory: Memory) -> None:  # noqa: B027
        """Raise `UserError` where a memory of the right tree, which came from outside, is none of this model's."""

    def about(self) -> dict[str, Any]:
        """What people and pages must know to speak to the model, as JSON holds it: labels, the horizon."""
        return {}

    def text_of(self, units: Sequence[Unit]) -> list[str]:
        """Each unit as people read it; the pieces of a text come one after the other."""
        return [str(unit) for unit in units]
