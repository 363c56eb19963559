"""One cache for texts and pairs, addressed by content: a file's name has a hash of all that the file was made from.

    NAME-ADDRESS.json                      a value: the survey of a text, a vocabulary, held-out pairs
    NAME-ADDRESS.bin, NAME-ADDRESS.json    tokens

A kill at any moment leaves no wrong file. A file is missing where its checksum does not fit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from elman import atomic, reading
from elman.data.textfile import TextPiece
from elman.data.tokenfile import TokenFile, open_tokens, write_tokens
from elman.data.tokenizers import Tokenizer
from elman.errors import UserError

T = TypeVar("T")
FORMAT = 2  # a part of every address
OURS = re.compile(  # the names of files of this format, and the fixed ones of format 1
    r"\w+-[0-9a-f]{32}\.(bin|json)"
    r"|(train|valid)(\.source|\.target)?\.(bin|json)|valid\.jsonl|corpus\.json|pairs\.json|(\w+_)?tokenizer\.json"
)


class Cache:
    """The cache in a folder, which the first file makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[str] = set()

    def recall(self, kind: type[T], name: str, *made_from: object) -> T | None:
        """The value of this name that was made from these things, or None where there is no whole one of that kind."""
        path = self._path(name, made_from)
        try:
            kept = reading.read_json(path, dict[str, Any])
            text = json.dumps(kept["value"])
            return reading.parse_json(text, kind, f"{path}") if zlib.crc32(text.encode()) == kept["crc32"] else None
        except (UserError, KeyError):
            return None

    def remember(self, value: Any, name: str, *made_from: object) -> None:
        """Keep a value that JSON can hold. Errors: `UserError` where the file cannot be written."""
        path, text = self._path(name, made_from), json.dumps(value)
        whole = f'{{"crc32": {zlib.crc32(text.encode())}, "value": {text}}}\n'
        with contextlib.suppress(UserError):
            if reading.read_text(path) == whole:
                return
        atomic.write_text(path, whole)

    def open_tokens(self, name: str, content: str, tokenizer: Tokenizer) -> TokenFile | None:
        """The tokens of a content by a tokenizer, or None where there is no whole file of them."""
        file = open_tokens(self._tokens(name, content, tokenizer))
        made_from = None if file is None else (file.source, file.tokenizer)
        return file if made_from == (content, tokenizer.fingerprint) else None

    def tokens(
        self, name: str, content: str, tokenizer: Tokenizer, pieces: Callable[[], Iterable[TextPiece]]
    ) -> TokenFile:
        """The tokens of a content by a tokenizer, made from its `pieces()` where there is no whole file of them.

        Errors: `UserError` where the file cannot be written, and the errors of the pieces.
        """
        kept = self.open_tokens(name, content, tokenizer)
        if kept is not None:  # an empty file of tokens is false
            return kept
        return write_tokens(self._tokens(name, content, tokenizer), pieces(), tokenizer, content)

    def remove_others(self) -> None:
        """Remove the files that this object did not use: of other texts or tokenizers, and of earlier formats."""
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            name = path.name.removeprefix(".").removesuffix(".tmp")
            if OURS.fullmatch(name) and path.name not in self._used:
                with contextlib.suppress(UserError):  # the file takes space and does no harm
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
