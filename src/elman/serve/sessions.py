"""Sessions with models: the engine of the server, without HTTP."""

from __future__ import annotations

import contextlib
import math
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elman import atomic
from elman.errors import UserError, nearest
from elman.run_folders import lock_file
from elman.runs import Run, load
from elman.serve.batching import Batcher, Job, OnEvents
from elman.serve.errors import Busy, Full, TooLarge, Unknown
from elman.serve.handle import Session
from elman.serve.limits import ServingLimits
from elman.serve.memory import unpack
from elman.serve.served import Served
from elman.serve.session import Content, Trail
from elman.serve.store import SessionStore
from elman.tasks.configuration import make_section
from elman.tasks.listening import Memory
from elman.wording import counted


class Sessions:
    """Sessions with one model or several, each with a memory of its own; thread-safe.

        sessions = elman.serve.Sessions("runs/demo", memory="500MB")
        session = sessions.create(text="def ")
        for event in session.generate(tokens=100, seed=1):
            print(event["text"], end="")
        other = session.fork(at=4)
        sessions.close()

    Args:
        runs: a run, its folder, or several. A model's id is the name of its folder.
        folder: where sessions lie that are not in memory, and from where `restore` takes those of a process before.
            None: a temporary folder, which goes with the object.
        int8: whether recurrent language models compute with weights of 8 bits.
        limits: the limits, or those that are not the default by name; see `ServingLimits`.

    Raises:
        UserError: there is no such run, a task is not served, two runs have one name, or a limit is out of its range.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo", memory="500MB") as sessions:
    ...     first, second = sessions.create(text="the c"), sessions.create(text="the m")
    ...     [session.generate(tokens=4, temperature=0).answer["text"] for session in (first, second)]
    ...     sessions.stats()["sessions"]
    ['at s', 'at. ']
    2
    """

    def __init__(
        self,
        runs: str | Path | Run | Sequence[str | Path | Run],
        *,
        folder: str | Path | None = None,
        int8: bool = False,
        limits: ServingLimits | None = None,
        **given: Any,
    ) -> None:
        if limits is not None and given:
            raise UserError("limits", expected="all of them, or some by name", got="both", exit_code=2)
        self.limits = make_section(ServingLimits, given) if limits is None else limits
        options = {"chunk": self.limits.chunk, "int8": int8}
        self.models: dict[str, Served] = {}
        for run in [runs] if isinstance(runs, str | Path | Run) else runs:
            loaded = run if isinstance(run, Run) else load(run)
            name = loaded.path.resolve().name
            if name in self.models:
                raise UserError(f"two runs are called {name}", remedy="rename a folder: its name is the model's id")
            self.models[name] = Served(name, loaded, options)
        if not self.models:
            raise UserError("runs", expected="at least one", got="none", exit_code=2)
        self.folder = Path(tempfile.mkdtemp(prefix="elman-sessions-")) if folder is None else Path(folder)
        if folder is None:
            self._remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        with atomic.told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("a")
        if not lock_file(self._lock):
            self._lock.close()
            remedy = "end it, or choose another folder"
            raise UserError(f"another process keeps its sessions in {self.folder}", remedy=remedy)
        likes = {name: (lambda served=served: served.listener.like) for name, served in self.models.items()}
        marks = {name: served.mark for name, served in self.models.items()}
        self.store = SessionStore(self.folder, self.limits, likes, marks)
        for name, served in self.models.items():
            served.batcher = Batcher(name, served.listener, self.store, self.limits.rows, served.counts)
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._sweep, name="elman keeper", daemon=True)
        self._keeper.start()

    def create(self, model: str | None = None, *, memory: bytes | None = None, **first_feed: Any) -> Session:
        """A new session, after a first feed if there is one.

        Args:
            model: its id; where there is one model, it need not be named.
            memory: what `Session.state` gave, of a session with the same model; None: nothing was read.
            first_feed: as of `Session.feed`.

        Raises:
            UserError: there is no such model, there are too many sessions, or what is given is not right.
        """
        served = self.model(model)
        start = served.listener.begin() if memory is None else self._memory(served, memory)
        request = served.listener.check("feed", first_feed) if first_feed else None
        session = Session(self, self.store.add(served.id, Content(Trail(start, start))))
        if request is not None:
            try:
                self.submit(session.id, "feed", first_feed).result()
            except BaseException:
                session.close()
                raise
        return session

    def model(self, name: str | None) -> Served:
        """A model by its id; the only one where None. Raises `Unknown`."""
        if name is None and len(self.models) == 1:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise Unknown(f"there is no model {name!r}", remedy=nearest(str(name), self.models))
        return self.models[name]

    def get(self, session: str) -> Session:
        """A session by its id. Raises `Unknown`."""
        return Session(self, self.store.get(session))

    def submit(self, session: str, kind: str, asked: Mapping[str, Any], on_events: OnEvents | None = None) -> Job:
        """Let a session "feed" or "generate", and return at once.

        `on_events` is called from the model's thread, with the events of each round; the last call comes when the job
        is done, perhaps with none. It must not block.

        Raises:
            Unknown, Busy, Full, TooLarge: there is no such session, it does something else, or the limits forbid it.
            UserError: the request is not right.
        """
        record = self.store.get(session)
        served = self.models[record.model]
        if kind == "generate" and not served.writes:
            what = f"{served.id} is {served.run.task.title}, which writes nothing"
            raise UserError(what, remedy="feed it: the answer says all")
        request = served.listener.check(kind, asked)
        what, most = {"feed": ("a feed", self.limits.prompt), "generate": ("tokens", self.limits.tokens)}[kind]
        size = served.listener.size(request)
        if size > most:
            raise TooLarge(what, expected=f"at most {most:,} at once", got=f"{size:,}")
        return self.start(Job(record, kind, request, on_events))

    def start(self, job: Job) -> Job:
        """Let a job run. Raises `Busy` or `Full`."""
        served = self.models[job.record.model]
        assert served.batcher is not None
        with self.store.lock:
            if job.record.busy:
                raise Busy("the session does something else", remedy="wait for its answer, or cancel it")
            if served.batcher.waiting + served.batcher.running >= self.limits.queue:
                error = Full(
                    f"{counted(self.limits.queue, 'request')} at most may run or wait", remedy="try again later"
                )
                error.retry_after = max(1.0, math.ceil(served.counts.seconds.sum / max(served.counts.seconds.count, 1)))
                raise error
            job.record.job = job
            try:
                served.batcher.put(job)
            except BaseException:
                job.record.job = None
                raise
        return job

    def save(self) -> None:
        """Write all sessions to the folder. Raises `UserError` where that cannot be done."""
        self.store.save()

    def restore(self) -> int:
        """Take up the sessions that were saved in the folder, and say how many they are."""
        return self.store.restore()

    def stats(self) -> dict[str, Any]:
        """Numbers for people who watch a server."""
        store, counts = self.store, [served.counts for served in self.models.values()]
        with store.lock:  # not while sessions move to the disk to make room for one that has come back
            resident, bytes = len(store.resident), store.bytes
        batchers = [served.batcher for served in self.models.values() if served.batcher is not None]
        return {
            "sessions": len(store.records),
            "resident": resident,
            "parked": len(store.records) - resident,
            "bytes": bytes,
            "evictions": store.parked,
            "restored": store.loaded,
            "ended_idle": store.ended,
            "read": sum(each.read for each in counts),
            "written": sum(each.written for each in counts),
            "rounds": sum(each.rounds.count for each in counts),
            "queue": sum(batcher.waiting for batcher in batchers),
            "running": sum(batcher.running for batcher in batchers),
        }

    def close(self) -> None:
        """Cancel what runs, and save all sessions where there is a folder for them."""
        self._ended.set()
        for served in self.models.values():
            if served.batcher is not None:
                served.batcher.close()
        try:
            if hasattr(self, "_remove"):
                self._remove()
            else:
                self.save()
        finally:
            self._lock.close()

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _memory(self, served: Served, data: bytes) -> Memory:
        memories, _ = unpack(data, served.listener.like, served.mark)
        if len(memories) != 1:
            raise UserError("state", expected="one memory", got=len(memories))
        served.listener.check_memory(memories[0])
        return memories[0]

    def _sweep(self) -> None:
        while not self._ended.wait(min(10.0, self.limits.idle_seconds / 4)):
            self.store.sweep()
            if not hasattr(self, "_remove"):
                with contextlib.suppress(UserError):  # a full disk: the next round may be luckier
                    self.store.save()
