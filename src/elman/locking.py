"""A lock on an open file, for one process at a time, that goes with the process however that ends."""

from __future__ import annotations

import importlib
from typing import IO, Any


def lock(file: IO[Any]) -> bool:
    """Take the lock on a file until it is closed; False where another process has it.

    Where the system has no locks on files (neither Unix nor Windows), nobody is kept out.
    """
    if fcntl := _module("fcntl"):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    elif msvcrt := _module("msvcrt"):
        file.seek(0)  # from here on so many bytes are locked, which need not be there
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
    return True


def _module(name: str) -> Any:
    """A module that not every system has; None where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
