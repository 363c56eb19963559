"""Files that are whole or not there: written beside their place, synced, then renamed onto it; and their removal.

A link is replaced or removed, never followed: the file behind it belongs to someone else.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from elman.errors import UserError

REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space; a run goes on with --resume"),
    errno.EFBIG: "lift the limit on file sizes; a run goes on with --resume",
    **dict.fromkeys((errno.EACCES, errno.EROFS), "choose a place you may write to with -o"),
}


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: a kill at any moment leaves the old file or the new one, never a part.

    Raises `UserError` where the disk is full or the place is not writable; the old file is unchanged then.
    """
    write_pieces(path, [data])


def write_pieces(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """As `write_bytes`, of pieces that are made one after the other."""
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path) as file:
            for piece in pieces:
                file.write(piece)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder onto the disk."""
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text atomically."""
    write_bytes(path, text.encode())


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path`, whole and on the disk, when the block ends well."""
    check_replaceable(path)
    unfinished = path.with_name(temporary(path.name))
    unfinished.unlink(missing_ok=True)  # a link here would be followed
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def temporary(name: str) -> str:
    """The name of a file while it is written: always the same, so that the leftovers of a kill are written over."""
    return f".{name}.tmp"


def check_replaceable(*paths: Path) -> None:
    """Raise `UserError` where one of the paths is a folder, and so can take no file."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            raise UserError(f"cannot write {path}: a folder is in its place", remedy="move the folder away")


def check_writable(path: Path) -> None:
    """Raise `OSError` where the folder that will hold `path` cannot take a file, or cannot be made."""
    folder = path.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise OSError(errno.ENOTDIR, f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        number = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(number, os.strerror(number))


def remove(paths: Iterable[Path]) -> None:
    """Remove files and links, and pass over folders and missing files.

    Raises `UserError` where a file cannot be removed; if a folder is write-protected, nothing is removed.
    """
    present = [path for path in paths if path.is_symlink() or (path.exists() and not path.is_dir())]
    for path in present:
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise UserError(f"cannot remove {path}: {path.parent} is write-protected", remedy="chmod u+w it")
    for path in present:
        with told(path, "remove"):
            path.unlink(missing_ok=True)


@contextmanager
def told(path: Path, doing: str = "write") -> Iterator[None]:
    """Turn the operating system's refusal to write (or otherwise treat) `path` into a `UserError`."""
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "")
        raise UserError(f"cannot {doing} {path}: {error.strerror or error}", remedy=remedy) from error
