"""Files that are whole or not there: written beside their place, synced, then renamed onto it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elman.errors import UserError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: a kill at any moment leaves the old one or the new one, never a part.

    Raises:
        UserError: the disk is full or the place is not writable; the old file is as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")  # always the same: a killed write's is written over
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text atomically."""
    write_bytes(path, text.encode())


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write `path` into one line for a person."""
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "free some space; a run goes on with --resume",
            errno.EDQUOT: "free some space; a run goes on with --resume",
            errno.EFBIG: "lift the limit on file sizes; a run goes on with --resume",
            errno.EACCES: "choose a place you may write to with -o",
            errno.EROFS: "choose a place you may write to with -o",
        }.get(error.errno or 0, "")
        raise UserError(f"cannot write {path}: {error.strerror}", remedy=remedy) from error
