"""A token file: ids on disk as raw little-endian uint16 or uint32, read through memory maps.

`NAME.json` describes `NAME.bin` and is written last: a token file without a fitting description does not exist.
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

MOST_MAPPED = 1 << 24  # tokens that are read through one map
BLOCK = 1 << 20  # bytes that are checked at a time: about a second a gigabyte


@dataclass(frozen=True)
class TokenFile:
    """The tokens of a text on disk, and their origin.

    `np.asarray(file)` is a fresh read-only memory map. The pages that are read through a map belong to this process
    until the map is let go; with short-lived maps, its memory does not grow with the file.
    """

    path: Path  # the present one, which the description may not know
    dtype: Literal["<u2", "<u4"]
    tokens: int
    characters: int
    bytes: int  # of UTF-8
    documents: int
    unknown: int  # tokens that are `<unk>`
    tokenizer: str  # fingerprint
    source: str  # the caller's name of the content
    crc32: int  # of the file

    def __len__(self) -> int:
        return self.tokens

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        shape = (self.tokens,)  # an empty file cannot be mapped
        mapped = np.memmap(self.path, self.dtype, "r", shape=shape) if self.tokens else np.empty(0, self.dtype)
        return np.array(mapped, dtype) if copy else np.asarray(mapped, dtype)


Tokens = TokenFile | npt.NDArray[Any]


class Reader:
    """Tokens at any positions, through a map that is renewed after `MOST_MAPPED` tokens.

    One map for ever would keep the whole file in this process's memory, and mapping takes longer than reading a window.
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
    """Encode a stream of text into `path` (a .bin), with `<eod>` after every document if the tokenizer has one.

    A kill leaves no token file, or a whole one. Errors: `UserError` where the file cannot be written.
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
        description = json.dumps({**asdict(made), "path": path.name}, indent=1, ensure_ascii=False)
        atomic.write_text(facts, description + "\n")
    return made


def _encode(pieces: Iterable[TextPiece], tokenizer: Tokenizer, file: BinaryIO) -> dict[str, int]:
    """Write the tokens, and count them and the text."""
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
