"""One cache for texts and pairs, addressed by content: a file is named by a hash of all that it was made from.

    NAME-ADDRESS.json                      a value: what is in files, a vocabulary, the pairs held out
    NAME-ADDRESS.bin, NAME-ADDRESS.json    tokens

So what is found needs no comparison with what was asked for, and a kill at any moment leaves nothing that is wrong.
Damaged files count as missing: each has a checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from elman import atomic, reading
from elman.data.textfile import TextPiece
from elman.data.tokenfile import TokenFile, open_tokens, write_tokens
from elman.data.tokenizers import Tokenizer
from elman.errors import UserError

T = TypeVar("T")
FORMAT = 2  # a part of every address: files of another format are not found
OURS = re.compile(  # and those of format 1, which had fixed names
    r"\w+-[0-9a-f]{32}\.(bin|json)"
    r"|(train|valid)(\.source|\.target)?\.(bin|json)|valid\.jsonl|corpus\.json|pairs\.json|(\w+_)?tokenizer\.json"
)


@dataclass(frozen=True)
class Value:
    """What a NAME-ADDRESS.json holds."""

    value: Any
    crc32: int  # of the value as JSON


class Cache:
    """The cache in a folder, which is made where something is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[str] = set()

    def recall(self, kind: type[T], name: str, *made_from: object) -> T | None:
        """The value of this name that was made from this, or None where there is no whole one of that kind."""
        path = self._path(name, made_from)
        try:
            kept = reading.read_json(path, Value)
            text = json.dumps(kept.value)
            return reading.parse_json(text, kind, f"{path}") if zlib.crc32(text.encode()) == kept.crc32 else None
        except UserError:
            return None

    def remember(self, value: Any, name: str, *made_from: object) -> None:
        """Keep a value that JSON can hold. Errors: `UserError` where it cannot be written."""
        path, text = self._path(name, made_from), json.dumps(value)
        whole = f'{{"crc32": {zlib.crc32(text.encode())}, "value": {text}}}\n'
        with contextlib.suppress(UserError):
            if reading.read_text(path) == whole:
                return
        atomic.write_text(path, whole)

    def open_tokens(self, name: str, content: str, tokenizer: Tokenizer) -> TokenFile | None:
        """The tokens of some content by a tokenizer, or None where there is no whole file of them."""
        file = open_tokens(self._tokens(name, content, tokenizer))
        made_from = None if file is None else (file.source, file.tokenizer)
        return file if made_from == (content, tokenizer.fingerprint) else None

    def tokens(
        self, name: str, content: str, tokenizer: Tokenizer, pieces: Callable[[], Iterable[TextPiece]]
    ) -> TokenFile:
        """The tokens of some content by a tokenizer, made from its `pieces()` where there are none yet.

        Errors: `UserError` where they cannot be written, and those of the pieces.
        """
        kept = self.open_tokens(name, content, tokenizer)
        if kept is not None:
            return kept
        return write_tokens(self._tokens(name, content, tokenizer), pieces(), tokenizer, content)

    def remove_others(self) -> None:
        """Remove what this object was not asked for: the files of other texts or tokenizers, and of earlier formats."""
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            name = path.name.removeprefix(".").removesuffix(".tmp")
            if OURS.fullmatch(name) and path.name not in self._used:
                with contextlib.suppress(UserError):  # it takes space, and does no harm
                    atomic.remove([path])

    def _tokens(self, name: str, content: str, tokenizer: Tokenizer) -> Path:
        path = self._path(name, (content, tokenizer.fingerprint))
        self._used.add(path.with_suffix(".bin").name)
        return path.with_suffix(".bin")

    def _path(self, name: str, made_from: tuple[object, ...]) -> Path:
        address = hashlib.sha256(json.dumps([FORMAT, name, *made_from]).encode()).hexdigest()[:32]
        path = self.folder / f"{name}-{address}.json"
        self._used.add(path.name)
        return path
