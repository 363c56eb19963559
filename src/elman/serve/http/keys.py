"""API keys: read from a file, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from elman import reading
from elman.errors import UserError

SHORTEST = 16  # characters: a shorter key can be guessed


class Keys:
    """The keys that open the server; without any, it is open to all."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def open(self, key: str) -> bool:
        """Whether a key is one of them, in a time that tells nothing of them."""
        digest = _digest(key)
        right = [hmac.compare_digest(digest, known) for known in self._digests]  # all of them, whichever is right
        return any(right) or not self._digests

    def open_header(self, authorization: str) -> bool:
        """Whether the value of an `Authorization` header has one of them."""
        scheme, _, key = authorization.partition(" ")
        return self.open(key.strip()) and (scheme.lower() == "bearer" or not self)


def _digest(key: str) -> bytes:
    """Of one length, whatever the key's."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def read(path: Path) -> Keys:
    """The keys in a file: one a line; empty lines, and those that begin with #, are passed over.

    Raises `UserError` where the file cannot be read, or has no key or a short one.
    """
    lines = [line.strip() for line in reading.read_text(path).splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise UserError(f"{path} has no API key", remedy="write one a line")
    if any(len(key) < SHORTEST or " " in key or not key.isascii() for key in keys):
        expected = f"at least {SHORTEST} ASCII characters a line, without spaces"
        raise UserError(f"{path}: an API key", expected=expected, remedy="`openssl rand -hex 24` makes one")
    return Keys(keys)
