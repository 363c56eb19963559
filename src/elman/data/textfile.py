"""Reading one text file in constant RAM: decompressed, checked, cut between words.

bytes on disk -> `decompress` -> `decode` (UTF-8, line ends) -> `cut` -> pieces
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from elman.errors import UserError, missing_extra
from elman.wording import record_place

BLOCK = 1 << 18  # bytes read at a time; a piece has about as many characters
ZSTD_BLOCK = 1 << 12  # compressed bytes: few, because a zstd frame of zeros grows 30000-fold
JSON_LINES = (".jsonl", ".ndjson")
# UTF-32's marks come first, because they begin as UTF-16's do.
OTHER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class TextPiece(NamedTuple):
    """A part of a document's text, or (`ends`, without text) the end of the document."""

    text: str
    ends: bool
    position: int  # bytes on disk that were read before, for progress


def read_pieces(path: Path) -> Iterator[TextPiece]:
    """A file's documents: the "text" of each line of JSON, else the whole file. Empty documents are left out.

    Errors: `UserError` where the file cannot be read, is damaged, or is not UTF-8 text.
    """
    with open_binary(path) as raw:
        texts = decode(decompress(raw, path), path)
        documents = json_documents(texts, path) if uncompressed(path).endswith(JSON_LINES) else [texts]
        for document in documents:
            piece = ""
            for piece in cut(document):
                yield TextPiece(piece, False, raw.tell())
            if piece:
                yield TextPiece("", True, raw.tell())


def uncompressed(path: Path) -> str:
    """A file's name in lower case, without .gz or .zst."""
    return path.name.lower().removesuffix(".gz").removesuffix(".zst")


def is_text(path: Path) -> bool:
    """Whether the whole file is UTF-8 text; a damaged archive still raises `UserError`."""
    with open_binary(path) as raw, suppress(NotTextError):
        deque(decode(decompress(raw, path), path), maxlen=0)
        return True
    return False


class NotTextError(UserError):
    """A file is not UTF-8 text."""


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading. Errors: `UserError` where the system refuses."""
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def decompress(raw: BinaryIO, path: Path) -> Generator[bytes, None, None]:
    """The bytes of a plain, .gz or .zst file, block by block."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".zst":
            yield from _zstd_blocks(raw, path)
        else:
            stream = gzip.GzipFile(fileobj=raw) if suffix == ".gz" else raw
            while block := stream.read(BLOCK):
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path) from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _zstd_blocks(raw: BinaryIO, path: Path) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError:
        raise missing_extra("zstandard", "zstd", ".zst files") from None
    # Frame by frame, because the library's own stream reader does not notice a file that is cut short.
    frame = None
    try:
        while block := raw.read(ZSTD_BLOCK):
            while block:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                data = frame.decompress(block)
                yield from (data[start : start + BLOCK] for start in range(0, len(data), BLOCK))
                block = frame.unused_data
                if frame.eof:
                    frame = None
    except zstandard.ZstdError as error:
        raise _damaged(path) from error
    if frame:
        raise _damaged(path)


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged or cut short", remedy="download or compress it again")


def decode(blocks: Iterable[bytes], path: Path) -> Iterator[str]:
    r"""UTF-8 text from bytes: a byte order mark is dropped and `\r\n` becomes `\n`.

    Neither the text nor an error depends on how the bytes are cut into blocks: a block that may be the beginning of a
    mark waits for the next. Errors: `NotTextError` with the line and the offset of the first byte that is not UTF-8.
    """
    rest, begin = iter(blocks), b""
    for block in rest:
        begin += block
        if not any(mark != begin and mark.startswith(begin) for mark in (codecs.BOM_UTF8, *OTHER_MARKS)):
            break
    if encoding := other_encoding(begin):
        remedy = f"iconv -f {encoding.lower()} -t utf-8 '{path}' > utf8.txt"
        raise NotTextError(f"{path} is {encoding} text", remedy=remedy)
    offset = len(codecs.BOM_UTF8) if begin.startswith(codecs.BOM_UTF8) else 0  # of the block's first byte
    decoder = codecs.getincrementaldecoder("utf-8")()
    carriage, line = "", 1  # a \r at a block's end waits for the \n that may follow
    for block in chain([begin[offset:]], rest):
        nul = block.find(0)
        text = carriage + _decode(decoder, block if nul < 0 else block[: nul + 1], offset, line, path)
        if nul >= 0:
            raise NotTextError(f"{path} is binary: NUL at byte {offset + nul}", remedy="give a text file")
        offset += len(block)
        line += block.count(b"\n")
        carriage = "\r" if text.endswith("\r") else ""
        yield text.removesuffix("\r").replace("\r\n", "\n")
    yield carriage + _decode(decoder, b"", offset, line, path, final=True)


def other_encoding(beginning: bytes) -> str:
    """The name of the encoding, other than UTF-8, whose mark a text begins with; empty where there is no mark."""
    return next((encoding for mark, encoding in OTHER_MARKS.items() if beginning.startswith(mark)), "")


def _decode(
    decoder: codecs.IncrementalDecoder, block: bytes, offset: int, line: int, path: Path, final: bool = False
) -> str:
    """The text of a block, which begins at a byte of the file, in a line."""
    pending = len(decoder.getstate()[0])  # bytes of a character, so that no line ends in them
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        at = error.start - pending
        line += block[: max(at, 0)].count(b"\n")
        raise NotTextError(
            f"{path} is not UTF-8 text: line {line}, byte {offset + at} ({error.reason})",
            remedy=f"if it is text, convert it, for instance: iconv -f latin1 -t utf-8 '{path}' > utf8.txt",
        ) from None


def cut(texts: Iterable[str]) -> Iterator[str]:
    """The same text in pieces that end at a line's end, else before a space, so that no word is cut; else anywhere.

    >>> list(cut(["one\\ntwo th", "ree"]))
    ['one\\n', 'two', ' three']
    """
    rest = ""
    for text in texts:
        text = rest + text
        at = max(text.rfind("\n") + 1 or text.rfind(" "), 0) or len(text)
        if at:
            yield text[:at]
        rest = text[at:]
    if rest:
        yield rest


def json_documents(texts: Iterable[str], path: Path) -> Iterator[Iterator[str]]:
    """The "text" of every line of JSON, each in blocks; blank lines are left out.

    Errors: `UserError` with the file and the line.
    """
    for number, line in enumerate(lines(texts), 1):
        if line.strip():
            (text,) = json_strings(line, record_place(path, number), "text")
            yield blocks(text, BLOCK)


def json_value(line: str, **options: Any) -> Any:
    """The value in a line of JSON, as `json.loads` reads it. Errors: `ValueError`, which says the reason alone."""
    try:
        return json.loads(line, **options)
    except (ValueError, RecursionError) as error:
        raise ValueError(error.msg if isinstance(error, json.JSONDecodeError) else str(error)) from None


def json_strings(line: str, where: str, *keys: str) -> list[str]:
    """The strings of an object in a line of JSON, `mended`. Errors: `UserError` that begins with `where`."""
    try:
        record = json_value(line)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error})") from None
    got = type(record).__name__
    if isinstance(record, dict):
        wrong = [key for key in keys if not isinstance(record.get(key), str)]
        if not wrong:
            return [mended(record[key]) for key in keys]
        others = [f'a "{key}" of type {type(record[key]).__name__}' for key in wrong if key in record]
        got = others[0] if others else "keys " + (", ".join(list(record)[:5]) or "none")
    names = " and ".join(f'"{key}"' for key in keys)
    raise UserError(where, expected=f"an object with {'a string' if len(keys) == 1 else 'strings'} {names}", got=got)


def mended(text: str) -> str:
    r"""A text with U+FFFD for each lone surrogate, which UTF-8 cannot encode, and `\n` for `\r\n`."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\r\n", "\n")


def lines(texts: Iterable[str]) -> Iterator[str]:
    """Lines from blocks of text, without their ends; a last line that is empty is left out."""
    parts: list[str] = []
    for text in texts:
        *whole, rest = text.split("\n")
        for line in whole:
            yield "".join([*parts, line])
            parts.clear()
        parts.append(rest)
    if last := "".join(parts):
        yield last


def blocks(text: str, size: int) -> Iterator[str]:
    """A text in blocks of `size` characters."""
    return (text[start : start + size] for start in range(0, len(text), size))
