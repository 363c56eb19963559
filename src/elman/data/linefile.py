"""Lines as they arrive: each has a text or an error, so that a bad line does not stop the others."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from elman.data.textfile import NotTextError, other_encoding

LONGEST = 1 << 24  # bytes of a line, so that memory is bounded where no line ends


class InputLine(NamedTuple):
    """A line without its end. `error` says why the line is no text; `text` then has U+FFFD for each wrong byte."""

    text: str
    error: str = ""
    raw: bytes = b""  # as it arrived, with its end; empty for a line that was in memory


def arriving_lines(blocks: Iterable[bytes], name: str) -> Iterator[list[InputLine]]:
    r"""The lines that each block of bytes completes, as soon as the block arrives; the last line may lack its end.

    A byte order mark is dropped, and so is a `\r` before the end of a line.
    Errors: `NotTextError` where the bytes of `name` are UTF-16 or UTF-32 text.

    >>> list(arriving_lines([b"one\ntw", b"o\nthree"], "stdin"))[2]
    [InputLine(text='three', error='', raw=b'three')]
    """
    begun, first = bytearray(), True
    for block in blocks:
        *whole, rest = block.split(b"\n")
        if whole:
            yield [
                _line(line, b"\n", name, first and not at)
                for at, line in enumerate([bytes(begun + whole[0]), *whole[1:]])
            ]
            begun.clear()
            first = False
        begun += rest[: LONGEST + 1 - len(begun)]
    if begun:
        yield [_line(bytes(begun), b"", name, first)]


def _line(data: bytes, end: bytes, name: str, first: bool) -> InputLine:
    """The line of these bytes; the first one of `name` may begin with a byte order mark."""
    if len(data) > LONGEST:
        return InputLine("", f"expected at most {LONGEST:,} bytes, got more; split it")
    raw = data + end
    if first:
        if encoding := other_encoding(data):
            remedy = f"iconv -f {encoding.lower()} -t utf-8 makes UTF-8 of it"
            raise NotTextError(f"{name} is {encoding} text", remedy=remedy)
        data = data.removeprefix(codecs.BOM_UTF8)
    data = data.removesuffix(b"\r")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        reason = f"expected UTF-8 text, got byte {error.start} ({error.reason})"
        return InputLine(data.decode(errors="replace"), reason, raw)
    at = data.find(0)
    return InputLine(text, "" if at < 0 else f"expected text, got NUL at byte {at}", raw)
