"""Reading one text file in bounded pieces: decompressed, checked, cut between words.

    bytes on disk -> `decompress` -> `decode` (UTF-8, line ends) -> `cut` -> pieces

Every stage is a generator, so a file of any size is read in constant memory.
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from elman.errors import UserError, missing_extra

BLOCK = 1 << 18  # bytes read at a time, and about how many characters a piece has
ZSTD_BLOCK = 1 << 12  # compressed bytes: small, because a zstd frame of zeros grows 30000-fold
# The longer first: UTF-32's begins as UTF-16's does.
OTHER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class TextPiece(NamedTuple):
    """A stretch of a document's text, or (`ends`, with no text) the end of the document."""

    text: str
    ends: bool
    position: int  # bytes on disk read so far: for progress


def read_pieces(path: Path) -> Iterator[TextPiece]:
    """A file's documents: one per line's "text" in JSON lines, else the whole file. Empty ones are left out.

    Errors: `UserError` where the file cannot be read, is damaged, or is not UTF-8 text.
    """
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    with open_binary(path) as raw:
        texts = decode(decompress(raw, path), path)
        documents = json_documents(texts, path) if name.endswith((".jsonl", ".ndjson")) else [texts]
        for document in documents:
            empty = True
            for piece in cut(document):
                empty = False
                yield TextPiece(piece, False, raw.tell())
            if not empty:
                yield TextPiece("", True, raw.tell())


def is_text(path: Path) -> bool:
    """Whether the whole file is UTF-8 text; a damaged archive still raises."""
    with open_binary(path) as raw:
        try:
            for _ in decode(decompress(raw, path), path):
                pass
        except NotTextError:
            return False
    return True


class NotTextError(UserError):
    """The file holds something else than UTF-8 text."""


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading; what the system refuses becomes a `UserError`."""
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
    # The library's own stream reader takes a file cut short for a whole one; a frame at a time tells.
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

    What comes out does not depend on how the bytes are cut into blocks, and an error neither: it names the first byte
    that UTF-8 text does not have. A block that may still be the beginning of a mark waits for the next one.

    Errors: `NotTextError` with the offset of that byte.
    """
    rest = iter(blocks)
    begin = _beginning(rest)
    if encoding := other_encoding(begin):
        remedy = f"iconv -f {encoding.lower()} -t utf-8 '{path}' > utf8.txt"
        raise NotTextError(f"{path} is {encoding} text", remedy=remedy)
    offset = len(codecs.BOM_UTF8) if begin.startswith(codecs.BOM_UTF8) else 0  # of the block's first byte
    decoder = codecs.getincrementaldecoder("utf-8")()
    carriage = ""  # a \r at a block's end waits for the \n that may follow
    for block in chain([begin[offset:]], rest):
        nul = block.find(0)
        text = carriage + _decode(decoder, block if nul < 0 else block[: nul + 1], offset, path, final=False)
        if nul >= 0:
            raise NotTextError(f"{path} is binary: NUL at byte {offset + nul}", remedy="give a text file")
        offset += len(block)
        carriage = "\r" if text.endswith("\r") else ""
        yield text.removesuffix("\r").replace("\r\n", "\n")
    yield carriage + _decode(decoder, b"", offset, path, final=True)


def other_encoding(beginning: bytes) -> str:
    """The encoding whose mark a text begins with, where it is another one than UTF-8; else nothing."""
    return next((encoding for mark, encoding in OTHER_MARKS.items() if beginning.startswith(mark)), "")


def _beginning(blocks: Iterator[bytes]) -> bytes:
    """As many of the blocks as it takes to see which mark they begin with, if any."""
    begin = b""
    for block in blocks:
        begin += block
        if not any(mark != begin and mark.startswith(begin) for mark in (codecs.BOM_UTF8, *OTHER_MARKS)):
            break
    return begin


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, offset: int, path: Path, final: bool) -> str:
    pending = len(decoder.getstate()[0])
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        raise NotTextError(
            f"{path} is not UTF-8 text: byte {offset - pending + error.start} ({error.reason})",
            remedy=f"if it is text, convert it, for instance: iconv -f latin1 -t utf-8 '{path}' > utf8.txt",
        ) from None


def cut(texts: Iterable[str]) -> Iterator[str]:
    """The same text in pieces that end at a line's end, else before a space, else anywhere.

    So neither words nor byte pairs are broken where one piece ends, whatever the blocks were.

    >>> list(cut(["one\\ntwo th", "ree"]))
    ['one\\n', 'two', ' three']
    """
    rest = ""
    for text in texts:
        text = rest + text
        at = text.rfind("\n") + 1 or text.rfind(" ")
        if at <= 0:
            at = len(text)
        if at:
            yield text[:at]
        rest = text[at:]
    if rest:
        yield rest


def json_documents(texts: Iterable[str], path: Path) -> Iterator[Iterator[str]]:
    """The "text" of every line of JSON, each as an iterator over blocks; blank lines are passed over.

    Errors: `UserError` with the file and the line.
    """
    for number, line in enumerate(lines(texts), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        record = json_record(line, where)
        text = record.get("text") if isinstance(record, dict) else None
        if not isinstance(text, str):
            raise UserError(where, expected='an object with a string "text"', got=_shape(record))
        yield blocks(mended(text), BLOCK)


def json_record(line: str, where: str) -> Any:
    """What a line of JSON says. Errors: `UserError` that begins with `where`."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise UserError(f"{where}: not JSON ({reason})") from None


def mended(text: str) -> str:
    r"""A text as a file can hold it: a lone surrogate, which UTF-8 cannot spell, is U+FFFD, and `\r\n` is `\n`."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\r\n", "\n")


def _shape(record: object) -> str:
    if not isinstance(record, dict):
        return type(record).__name__
    if "text" in record:
        return f'a "text" of type {type(record["text"]).__name__}'
    return "keys " + (", ".join(map(str, list(record)[:5])) or "none")


def lines(texts: Iterable[str]) -> Iterator[str]:
    """Lines from blocks of text; a line may span any number of blocks."""
    parts: list[str] = []
    for text in texts:
        *whole, rest = text.split("\n")
        for line in whole:
            yield "".join([*parts, line])
            parts.clear()
        parts.append(rest)
    yield "".join(parts)


def blocks(text: str, size: int) -> Iterator[str]:
    """A text in blocks of `size` characters."""
    return (text[start : start + size] for start in range(0, len(text), size))
