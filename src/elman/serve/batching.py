"""One thread for each model, which moves the works of all sessions that are due, round after round.

Works join and leave between two rounds. Nobody else calls the model, so nothing waits for a lock while it computes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from elman.errors import UserError
from elman.serve.counts import ServingCounts
from elman.serve.errors import Closed, ModelFailed
from elman.serve.session import MOST, Content, SessionRecord, Trail
from elman.serve.store import SessionStore
from elman.state import entries
from elman.tasks.listening import Listener, Memory, Work

OnEvents = Callable[[list[dict[str, Any]]], None]
Beginning = Callable[[Content], Trail]


class Job:
    """A request of a session that is under way. Any thread may ask for its result, or cancel it.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo") as sessions:
    ...     session = sessions.create()
    ...     job = sessions.submit(session.id, "feed", {"text": "the cat"})  # returns at once
    ...     answer = job.result(timeout=60)
    >>> job.done, session.position
    (True, 7)
    """

    def __init__(
        self,
        record: SessionRecord,
        kind: str,
        request: Any,
        on_events: OnEvents | None = None,
        begin: Beginning = lambda content: content.trail,
        *,
        whole: bool = False,
    ) -> None:
        self.record, self.kind, self.request, self.on_events, self.begin = record, kind, request, on_events, begin
        self.whole = whole  # whether the session stays as it was if the job is cancelled
        self.work: Work | None = None
        self.trail: Trail | None = None
        self.between: list[Memory] = []  # after rounds
        self._seen: Memory | None = None
        self.cancelled = False
        self.asked = time.perf_counter()
        self._done = threading.Event()
        self._answer: dict[str, Any] | None = None
        self._error: UserError | None = None

    @property
    def done(self) -> bool:
        """Whether there is an answer, or an error."""
        return self._done.is_set()

    def remember(self, memory: Memory) -> None:
        """A memory between two rounds, to go back to later; of memories that grow, none: they would fill the RAM."""
        if memory is self._seen:  # of a round before
            return
        self._seen = memory
        if not entries(memory.state):
            self.between.append(memory)
            if len(self.between) > 2 * MOST:
                del self.between[::2]

    def cancel(self) -> None:
        """End it before the next round; the session keeps what was read and written until then."""
        self.cancelled = True

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """The answer. Raises the error if there is none, and `TimeoutError` where it takes longer."""
        if not self._done.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        return self._answer

    def finish(self, answer: dict[str, Any] | None, error: UserError | None) -> None:
        """There will be nothing more."""
        self._answer, self._error = answer, error
        self._done.set()

    def tell(self, events: list[dict[str, Any]]) -> None:
        """Hand events to whoever listens; one who fails hears no more."""
        if self.on_events is not None:
            try:
                self.on_events(events)
            except Exception:
                self.on_events, self.cancelled = None, True


class Batcher:
    """The thread of a model."""

    def __init__(self, name: str, listener: Listener, store: SessionStore, rows: int, counts: ServingCounts) -> None:
        self.listener, self.store, self.rows, self.counts = listener, store, rows, counts
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"elman {name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self._running)

    def put(self, job: Job) -> None:
        """Let a job run. Raises `Closed`."""
        with self._changed:
            if self._closed:
                raise Closed("the server ends")
            self._waiting.append(job)
            self._changed.notify()

    def close(self) -> None:
        """End every job as if it was cancelled, and the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._running or self._closed):
                    self._changed.wait()
                joining = [
                    self._waiting.popleft() for _ in range(min(len(self._waiting), self.rows - len(self._running)))
                ]
                closed = self._closed
                joining += list(self._waiting) if closed else []
                self._running += joining
            for job in joining:
                self._begin(job)
            for job in self._running:
                if (job.cancelled or closed) and not job.done:
                    self._cancel(job)
            self._running = [job for job in self._running if not job.done]
            if closed:
                return
            if self._running:
                self._round()

    def _begin(self, job: Job) -> None:
        try:
            job.trail = job.begin(self.store.content(job.record))
        except Exception as error:
            self._finish(job, None, _told(error))
            return
        job.work = Work(job.kind, job.request, job.trail.memory)

    def _round(self) -> None:
        begun = time.perf_counter()
        jobs = self._running
        works = [job.work for job in jobs if job.work is not None]
        before = [len(work.units) for work in works]
        self._move(works)
        moved = {"feed": 0, "generate": 0}
        for work, count in zip(works, before, strict=True):
            moved[work.kind] += max(0, len(work.units) - count)  # a stop string takes units back
        self.counts.of_round(len(works), moved["feed"], moved["generate"], time.perf_counter() - begun)
        for job in jobs:
            self._after(job)
        self._running = [job for job in jobs if not job.done]

    def _move(self, works: Sequence[Work]) -> None:
        """A round. Where the listener fails, each work has a round of its own, so that it fails alone."""
        try:
            self.listener.round(works)
        except Exception as error:
            if len(works) == 1:
                with contextlib.suppress(Exception):
                    self.listener.leave(works[0])
                works[0].answer, works[0].error = None, _told(error)
                return
            for work in works:
                if not work.done:
                    self._move([work])

    def _after(self, job: Job) -> None:
        work = job.work
        assert work is not None
        if work.done:
            self._end(job, work)
        else:
            job.remember(work.memory)
            if work.events:
                events, work.events = work.events, []
                job.tell(events)

    def _cancel(self, job: Job) -> None:
        work = job.work
        assert work is not None
        try:
            self.listener.leave(work)
        except Exception as error:
            work.error = _told(error)
        if not work.done:
            work.answer = {"finished": "cancelled", "position": work.memory.position}
        if job.whole:
            work.error = work.error or Closed("the request was cancelled")
        self._end(job, work)

    def _end(self, job: Job, work: Work) -> None:
        error = work.error
        if error is None:
            try:
                self._keep(job, work)
            except Exception as failure:
                error = _told(failure)
        self._finish(job, None if error else work.answer, error)

    def _keep(self, job: Job, work: Work) -> None:
        """The session goes on after the work."""
        assert job.trail is not None
        content = self.store.content(job.record)
        held = getattr(work.request, "held", ())
        between = [memory for memory in job.between if memory.position <= work.memory.position]
        job.trail.extend(work.memory, work.units, between, held)
        content.trail = job.trail
        self.store.settle(job.record)

    def _finish(self, job: Job, answer: dict[str, Any] | None, error: UserError | None) -> None:
        if job.work is not None and job.work.events:
            job.tell(job.work.events)  # before the job is done: whoever sees that it is has been told all
        job.record.job, job.record.used = None, time.time()
        self.store.make_room()
        job.finish(answer, error)
        self.counts.of_work(time.perf_counter() - job.asked, failed=error is not None)
        job.tell([])
        job.on_events = None  # whoever listens has the job: together they would wait for the garbage collector


def _told(error: Exception) -> UserError:
    """An error for the client: one of ours as it is, and of any other only its kind."""
    if isinstance(error, UserError):
        return error
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return ModelFailed(f"the model failed on this request ({reason})")
