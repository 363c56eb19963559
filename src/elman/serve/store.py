"""Sessions by their ids: in memory up to a limit, and beyond it, the least recently used, on the disk.

Ids are ours alone: a file's name comes from the table of sessions, never from a client.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from elman import atomic
from elman.errors import UserError
from elman.serve.errors import Full, Unknown
from elman.serve.limits import ServingLimits
from elman.serve.memory import pack, read_about, unpack
from elman.serve.session import Content, SessionRecord, Trail
from elman.state import State
from elman.wording import counted

SUFFIX = ".session"
ID = re.compile(r"[A-Za-z0-9_-]{22}")


class SessionStore:
    """All sessions. Every method may be called from any thread; `lock` makes several calls one.

    Args:
        folder: where sessions lie that are not in memory.
        limits: of memory, sessions and idle time.
        likes: by model, a function that gives the tree of its memories' states.
        marks: by model, a mark that another model does not have, so that a memory stays with its model.
    """

    def __init__(
        self,
        folder: Path,
        limits: ServingLimits,
        likes: Mapping[str, Callable[[], State]],
        marks: Mapping[str, str],
    ) -> None:
        self.folder, self.limits, self.marks = folder, limits, marks
        self.likes = {model: cache(like) for model, like in likes.items()}
        self.most = limits.memory_bytes
        self.lock = threading.RLock()
        self.records: dict[str, SessionRecord] = {}
        self.resident: OrderedDict[str, SessionRecord] = OrderedDict()  # in memory, the least recently used first
        self.bytes = 0  # of all that is in memory, shared memories counted once
        self.parked = self.loaded = self.ended = 0  # how often
        self._sizes: dict[int, list[int]] = {}  # by the `id` of what takes room: how many sessions have it, and bytes
        self._holds: dict[str, tuple[dict[int, int], Any]] = {}  # by session, what it was counted with

    def add(self, model: str, content: Content, parent: str | None = None) -> SessionRecord:
        """A new session. Raises `Full`."""
        with self.lock:
            if len(self.records) >= self.limits.sessions:
                what = f"the server keeps {counted(self.limits.sessions, 'session')}, and has no room for another"
                raise Full(what, remedy="close one, or try again later")
            if self.bytes > self.most and not self.make_room():
                raise Full("the sessions take all the memory that they may", remedy="close one, or try again later")
            record = SessionRecord(secrets.token_urlsafe(16), model, parent, content=content)
            self.records[record.id] = self.resident[record.id] = record
            self.settle(record)
            return record

    def get(self, session: str) -> SessionRecord:
        """A session that is used now. Raises `Unknown`."""
        with self.lock:
            record = self.records.get(session)
            if record is None:
                raise Unknown("there is no such session", remedy="it was closed, or ended because nobody used it")
            if session in self.resident:
                self.resident.move_to_end(session)
            record.used = time.time()
            return record

    def content(self, record: SessionRecord) -> Content:
        """What is in a session, from the disk if need be. Raises `Unknown` or `UserError` where the file is damaged."""
        with self.lock:
            if record.content is None:
                if record.id not in self.records:
                    raise Unknown("there is no such session any more")
                record.content = content = self._read(record)
                self.resident[record.id] = record
                self.loaded += 1
                self.settle(record, changed=False)
                return content
            return record.content

    def settle(self, record: SessionRecord, *, changed: bool = True) -> None:
        """Count a session's room anew, and park others if need be."""
        with self.lock:
            content = record.content
            assert content is not None
            if changed:
                content.saved = False
            if record.id not in self.records:  # ended meanwhile
                return
            record.position = content.trail.memory.position
            record.checkpoints = {name: trail.memory.position for name, trail in content.checkpoints.items()}
            self._count(record, content.sizes(), content)
            self.make_room(record)

    def remove(self, session: str) -> None:
        """End a session. Raises `Unknown`."""
        with self.lock:
            record = self.get(session)
            if record.job is not None:
                record.job.cancel()
            del self.records[session]
            self.resident.pop(session, None)
            self._count(record, {}, None)
            self._place(record).unlink(missing_ok=True)

    def sweep(self) -> None:
        """End the sessions that nobody used for too long."""
        with self.lock:
            before = time.time() - self.limits.idle_seconds
            for record in [each for each in self.records.values() if each.used < before and not each.busy]:
                self.remove(record.id)
                self.ended += 1

    def save(self) -> None:
        """Write every session to the disk, for the next start. Raises `UserError` where one cannot be written."""
        for record in list(self.resident.values()):
            with self.lock:  # for each alone, so that nobody waits for all of them
                if record.id in self.resident and record.content is not None:
                    with atomic.told(self._place(record)):
                        self._write(record, record.content)

    def restore(self) -> int:
        """Know the sessions that lie in the folder, and say how many are new. Others' files stay as they are."""
        found = 0
        for unfinished in self.folder.glob(f".*{SUFFIX}.tmp"):
            if ID.fullmatch(unfinished.name[1:].removesuffix(f"{SUFFIX}.tmp")):
                unfinished.unlink(missing_ok=True)  # of a process that was killed
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError), self.lock:
                if ID.fullmatch(path.stem) and path.stem not in self.records:
                    about = _header(path)
                    if self.marks.get(about["model"]) == about["mark"] and about["id"] == path.stem:
                        record = SessionRecord(path.stem, about["model"], about["parent"], about["position"])
                        record.checkpoints, record.used = about["positions"], min(about["used"], time.time())
                        self.records[record.id] = record
                        found += 1
        return found

    def make_room(self, besides: SessionRecord | None = None) -> bool:
        """Park sessions until the rest takes no more room than allowed; whether that could be done."""
        with self.lock:
            for record in list(self.resident.values()) if self.bytes > self.most else ():
                if self.bytes <= self.most:
                    break
                if record.content is not None and not record.busy and record is not besides:
                    with contextlib.suppress(UserError, OSError):  # a full disk: it stays in memory
                        self._park(record, record.content)
            return self.bytes <= self.most

    def _park(self, record: SessionRecord, content: Content) -> None:
        """From memory to the disk."""
        self._write(record, content)
        record.content = None
        del self.resident[record.id]
        self._count(record, {}, None)
        self.parked += 1

    def _write(self, record: SessionRecord, content: Content) -> None:
        """Whole or not at all, if the process is killed. The disk is not waited for."""
        if not content.saved:
            path = self._place(record)
            unfinished = path.with_name(atomic.temporary(path.name))
            try:
                unfinished.write_bytes(self._bytes(record, content))
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
            content.saved = True

    def _count(self, record: SessionRecord, sizes: dict[int, int], content: Content | None) -> None:
        """What is counted stays alive meanwhile, so that its `id` is not another's."""
        for key in self._holds.pop(record.id, ({}, None))[0]:
            entry = self._sizes[key]
            entry[0] -= 1
            if not entry[0]:
                self.bytes -= entry[1]
                del self._sizes[key]
        for key, size in sizes.items():
            entry = self._sizes.setdefault(key, [0, size])
            if not entry[0]:
                self.bytes += size
            entry[0] += 1
        record.bytes = sum(sizes.values())
        if content is not None:
            self._holds[record.id] = sizes, content.parts()

    def _place(self, record: SessionRecord) -> Path:
        return self.folder / f"{record.id}{SUFFIX}"

    def _bytes(self, record: SessionRecord, content: Content) -> bytes:
        memories = content.memories()
        number = {key: place for place, key in enumerate(memories)}
        about = {
            "id": record.id,
            "model": record.model,
            "mark": self.marks[record.model],
            "parent": record.parent,
            "position": record.position,
            "positions": record.checkpoints,
            "used": record.used,
            "trail": content.trail.to_json(number),
            "checkpoints": {name: trail.to_json(number) for name, trail in content.checkpoints.items()},
        }
        return pack(list(memories.values()), about)

    def _read(self, record: SessionRecord) -> Content:
        path = self._place(record)
        try:
            memories, about = unpack(path.read_bytes(), self.likes[record.model](), self.marks[record.model], f"{path}")
            checkpoints = {name: Trail.from_json(trail, memories) for name, trail in about["checkpoints"].items()}
            return Content(Trail.from_json(about["trail"], memories), checkpoints, saved=True)
        except (OSError, KeyError, TypeError, IndexError) as error:
            raise UserError(f"{path} is damaged: no session is in it ({error})") from None


def _header(path: Path) -> dict[str, Any]:
    """What a session's file is about, without its tensors."""
    with path.open("rb") as file:
        length = file.read(8)
        return read_about(length + file.read(min(int.from_bytes(length, "little"), 1 << 28)))
