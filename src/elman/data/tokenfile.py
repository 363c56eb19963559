"""A token file: ids on disk, as raw little-endian uint16 or uint32, mapped into memory where they are read.

Beside `NAME.bin` lies `NAME.json`, written last: without it, or where it does not fit, there is no token file.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import numpy.typing as npt

from elman import atomic, reading
from elman.data.textfile import TextPiece
from elman.data.tokenizers import Tokenizer
from elman.errors import UserError

MOST_MAPPED = 1 << 24  # tokens read before a map is let go
BLOCK = 1 << 20  # bytes read at once to check a file: about a second a gigabyte


@dataclass(frozen=True)
class TokenFile:
    """The tokens of a text on disk, and what they were made from.

    `np.asarray(file)` is a fresh read-only memory map. Map, read, let go: pages stay in the system's cache,
    but do not pile up in this process, so that its memory is flat however long the file is.
    """

    path: Path  # where it is now, whatever its facts say
    dtype: Literal["<u2", "<u4"]
    tokens: int
    characters: int
    bytes: int  # of UTF-8
    documents: int
    unknown: int  # tokens that are `<unk>`
    tokenizer: str  # fingerprint
    source: str  # what the caller says it was made from
    crc32: int  # of all its bytes

    def __len__(self) -> int:
        return self.tokens

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        mapped: npt.NDArray[Any]
        if self.tokens == 0:  # nothing cannot be mapped
            mapped = np.empty(0, self.dtype)
        else:
            mapped = np.memmap(self.path, self.dtype, "r", shape=(self.tokens,))
        return np.array(mapped, dtype) if copy else np.asarray(mapped, dtype)


Tokens = TokenFile | npt.NDArray[Any]


class Reader:
    """Tokens at any positions, through a map that is let go now and then.

    What is read of a mapped file stays in this process's memory for as long as the map does, and to map it anew
    takes longer than to read a window: so neither one map for ever nor one a window.
    """

    def __init__(self, tokens: Tokens):
        self._tokens = tokens
        self._left = 0

    def __getitem__(self, positions: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        if self._left <= 0:
            self._map, self._left = np.asarray(self._tokens), MOST_MAPPED
        self._left -= positions.size
        return self._map[positions]


def write_tokens(path: Path, pieces: Iterable[TextPiece], tokenizer: Tokenizer, source: str) -> TokenFile:
    """Encode a stream of text into `path` (a .bin); every document's tokens are followed by `<eod>`, if there is one.

    A run that is killed leaves no token file, or a whole one. Errors: `UserError` where it cannot be written.
    """
    facts = path.with_suffix(".json")
    with atomic.told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.check_replaceable(path, facts)
        facts.unlink(missing_ok=True)
        with atomic.writing(path) as file:
            counts = _encode(pieces, tokenizer, file)
        dtype = cast(Literal["<u2", "<u4"], tokenizer.dtype.str)
        made = TokenFile(path, dtype, **counts, tokenizer=tokenizer.fingerprint, source=source)
        write_json(facts, {**asdict(made), "path": path.name})
    return made


def _encode(pieces: Iterable[TextPiece], tokenizer: Tokenizer, file: BinaryIO) -> dict[str, int]:
    """Write the tokens and count what they stand for."""
    counts = dict.fromkeys(("tokens", "characters", "bytes", "documents", "unknown", "crc32"), 0)
    eod = np.array([] if tokenizer.eod is None else [tokenizer.eod], tokenizer.dtype)
    for text, ends, _ in pieces:
        ids = eod if ends else tokenizer.encode_array(text)
        file.write(ids.data)
        counts["crc32"] = zlib.crc32(ids.data, counts["crc32"])
        counts["tokens"] += len(ids)
        counts["characters"] += len(text)
        counts["bytes"] += len(text.encode())
        counts["documents"] += ends
        if tokenizer.unk is not None:
            counts["unknown"] += int(np.count_nonzero(ids == tokenizer.unk))
    return counts


def open_tokens(path: Path) -> TokenFile | None:
    """The token file at `path` (a .bin), or None where there is no whole one."""
    try:
        file = reading.read_json(path.with_suffix(".json"), TokenFile)
        reading.check_file(path)
        whole = path.stat().st_size == file.tokens * np.dtype(file.dtype).itemsize and _crc32(path) == file.crc32
    except (OSError, UserError):
        return None
    return replace(file, path=path) if whole else None


def _crc32(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            total = zlib.crc32(block, total)
    return total


def write_json(path: Path, value: object) -> None:
    """Write JSON so that the file is, at every moment, the old one or the new one."""
    atomic.write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
