"""A session as a program holds it."""

from __future__ import annotations

import contextlib
import queue
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from elman.errors import UserError
from elman.serve.batching import Job
from elman.serve.errors import Busy, Full, Gone, Unknown
from elman.serve.memory import pack, to_json
from elman.serve.session import Content, SessionRecord, Trail
from elman.tasks.listening import Unit
from elman.wording import counted

if TYPE_CHECKING:
    from elman.serve.sessions import Sessions


class Session:
    """A client's own memory of a model. Made by `Sessions.create`, `Sessions.get` or `fork`.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo") as sessions:
    ...     session = sessions.create(text="the c")
    ...     kept = session.checkpoint()
    ...     session.generate(tokens=8, temperature=0).answer["text"], session.text
    ...     session.rollback(kept), session.text
    ...     fork = session.fork(at=4)
    ...     fork.text, fork.parent == session.id
    ('at sat o', 'the cat sat o')
    (5, 'the c')
    ('the ', True)
    """

    def __init__(self, sessions: Sessions, record: SessionRecord) -> None:
        self._sessions, self._record = sessions, record

    @property
    def id(self) -> str:
        """Whoever knows the id has the session: it cannot be guessed."""
        return self._record.id

    @property
    def model(self) -> str:
        """The id of the model."""
        return self._record.model

    @property
    def parent(self) -> str | None:
        """The session from which this one was forked."""
        return self._record.parent

    @property
    def position(self) -> int:
        """How many units the session has read and written."""
        return self._record.position

    @property
    def units(self) -> list[Unit]:
        """All that was read and written, in order, since the session began."""
        return list(self._content().trail.units)

    def pieces(self) -> list[str]:
        """Each unit as people read it."""
        return self._sessions.models[self.model].listener.text_of(self.units)

    @property
    def text(self) -> str:
        """All that was read and written, as people read it."""
        return "".join(self.pieces())

    def feed(self, **given: Any) -> dict[str, Any]:
        """Read something: `text`, `tokens`, `values` or `units`; and return what the model says then.

        `set`, such as [{"layer": 1, "state": "h", "unit": 5, "value": 0.5}], holds units, gates and heads meanwhile;
        `elman.lens.places` lists what there is.

        Raises:
            UserError: the model does not read such a thing, or the session is busy, or ended.
        """
        return self._sessions.submit(self.id, "feed", given).result()

    def generate(self, **options: Any) -> Generation:
        """Write something: an iterator of events with the `text` of each; its `answer` says all.

        Raises:
            UserError: an option is not right, the model does not write, or the session is busy, or ended.
        """
        return Generation(self._sessions, self.id, options)

    def checkpoint(self) -> str:
        """Keep the memory of now, and return a name for `rollback` and `fork`. Raises `Busy` or `Full`."""
        with self._sessions.store.lock:
            content = self._idle()
            if len(content.checkpoints) >= self._sessions.limits.checkpoints:
                raise Full(
                    f"the session has {counted(len(content.checkpoints), 'checkpoint')}, and room for no more",
                    remedy="fork it, and go on there",
                )
            name = secrets.token_urlsafe(8)
            trail = content.trail
            trail.pins[trail.memory.position] = trail.memory
            content.checkpoints[name] = trail.until(trail.memory)
            self._sessions.store.settle(self._record)
            return name

    def rollback(self, to: int | str) -> int:
        """Go back to a checkpoint or a position, and return the position; what came after is forgotten.

        Raises:
            UserError: there is no such checkpoint, or the position is none of the trail; or the session is busy.
        """
        store = self._sessions.store
        with store.lock:
            content = self._idle()
            trail, units, held = way_back(content, to)
            if not units:
                content.trail = trail
                store.settle(self._record)
                return self.position
            job = self._read_on(trail, units, held)
        job.result()
        return self.position

    def fork(self, at: int | str | None = None) -> Session:
        """Another session with the same memory, or with that at a checkpoint or a position. Raises as `rollback`."""
        store = self._sessions.store
        with store.lock:
            content = self._content()
            trail, units, held = way_back(content, content.trail.memory.position if at is None else at)
            fork = Session(self._sessions, store.add(self.model, Content(trail), parent=self.id))
        if units:
            try:
                fork._read_on(trail, units, held).result()
            except BaseException:
                fork.close()
                raise
        return fork

    def state(self, form: str = "safetensors") -> Any:
        """The memory: bytes for `Sessions.create`, or ("json") numbers to look at."""
        memory = self._content().trail.memory
        if form == "json":
            return to_json(memory)
        if form != "safetensors":
            raise UserError("format", expected="safetensors or json", got=repr(form))
        served = self._sessions.models[self.model]
        return pack([memory], {"model": served.id, "mark": served.mark})

    def watch(self, **asked: Any) -> dict[str, Any]:
        """What happened while a piece of the session was read, as arrays: surprise, states, gates, attention.

            session.watch(begin=10, end=200, units=30, layer=1, unit=5, attention_at=120)

        Options and result are those of `elman.serve.watching.watch`; it may be called while the session is busy, and
        tells of what was read and written before. Raises `UserError`.
        """
        from elman.serve.watching import watch

        served = self._sessions.models[self.model]
        with self._sessions.store.lock:
            trail = self._content().trail
            trail = trail.until(trail.memory)
        return watch(served.run, trail, served.listener.text_of, asked)

    def describe(self) -> dict[str, Any]:
        """What a session is, without its units."""
        record = self._record
        return {
            "id": record.id,
            "model": record.model,
            "task": self._sessions.models[record.model].run.task.name,
            "position": record.position,
            "parent": record.parent,
            "checkpoints": [{"id": name, "position": at} for name, at in record.checkpoints.items()],
            "busy": record.busy,
            "bytes": record.bytes,
            "idle": round(time.time() - record.used, 3),
        }

    def close(self) -> None:
        """End the session, and forget it. Raises `Unknown` where it has ended."""
        self._sessions.store.remove(self.id)

    def _content(self) -> Content:
        return self._sessions.store.content(self._sessions.store.get(self.id))

    def _read_on(self, trail: Trail, units: Sequence[Unit], held: Any) -> Job:
        """Read units again after one of the memories of the trail."""
        sessions = self._sessions
        request = sessions.models[self.model].listener.check("feed", {"units": units} | ({"set": held} if held else {}))
        return sessions.start(Job(self._record, "feed", request, begin=lambda content: trail, whole=True))

    def _idle(self) -> Content:
        content = self._content()
        if self._record.busy:
            raise Busy("the session does something else", remedy="wait for its answer, or cancel it")
        return content


class Generation:
    """What a session writes: events as they come, each with its "text", and at last the `answer`.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo") as sessions:
    ...     written = sessions.create(text="the c").generate(tokens=6, temperature=0)
    ...     "".join(event["text"] for event in written)
    'at sat'
    >>> written.answer["text"]
    'at sat'
    """

    def __init__(self, sessions: Sessions, session: str, options: Mapping[str, Any]) -> None:
        self._events: queue.SimpleQueue[list[dict[str, Any]]] = queue.SimpleQueue()
        self._job = sessions.submit(session, "generate", options, self._events.put)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The events; whoever leaves the loop lets the session go on to write, until `close`. Raises why it ended."""
        done = False
        while not done:
            events = self._events.get()
            done = self._job.done and self._events.empty()
            yield from events
        self._job.result()

    @property
    def answer(self) -> dict[str, Any]:
        """The whole text and what there is to say of it, when it is written. Raises why there is none."""
        return self._job.result()

    def close(self) -> None:
        """Write no more; the session keeps what was written."""
        self._job.cancel()
        with contextlib.suppress(UserError):
            self._job.result()

    def __enter__(self) -> Generation:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def way_back(content: Content, to: int | str) -> tuple[Trail, list[Unit], Any]:
    """The trail up to a memory at or before a checkpoint or a position; the units that are read after it, and how.

    Raises `Unknown`, `Gone` or `UserError`.
    """
    if isinstance(to, str):
        if to not in content.checkpoints:
            raise Unknown("the session has no such checkpoint")
        trail = content.checkpoints[to]
        return trail.until(trail.memory), [], ()
    trail = content.trail
    first, last = trail.base.position, trail.memory.position
    if isinstance(to, bool) or not isinstance(to, int) or not 0 <= to <= last:
        raise UserError("position", expected=f"a number from {first} to {last}, or a checkpoint's id", got=repr(to))
    if to < first:
        raise Gone("position", expected=f"{first} or more, where the session's memory begins", got=to)
    memory = trail.nearest(to)
    units, held = trail.ahead(memory, to)
    return trail.until(memory), units, held
