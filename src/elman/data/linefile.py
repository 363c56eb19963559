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


def arriving_lines(blocks: Iterable[bytes], name: str) -> Iterator[list[InputLine]]:
    r"""The lines that each block of bytes completes, as soon as the block arrives; the last line may lack its end.

    A byte order mark is dropped, and so is a `\r` before the end of a line.
    Errors: `NotTextError` where the bytes of `name` are UTF-16 or UTF-32 text.

    >>> list(arriving_lines([b"one\ntw", b"o\n\xff\nthree"], "stdin"))[1]
    [InputLine(text='two', error=''), InputLine(text='�', error='expected UTF-8 text, got byte 0 (invalid start byte)')]
    """
    begun, first = bytearray(), True
    for block in blocks:
        *whole, rest = block.split(b"\n")
        if whole:
            lines = [bytes(begun + whole[0]), *whole[1:]]
            if first:
                lines[0], first = _without_mark(lines[0], name), False
            yield [_line(line) for line in lines]
            begun.clear()
        begun += rest[: LONGEST + 1 - len(begun)]
    if begun:
        last = bytes(begun)
        yield [_line(_without_mark(last, name) if first else last)]


def _without_mark(line: bytes, name: str) -> bytes:
    if encoding := other_encoding(line):
        remedy = f"iconv -f {encoding.lower()} -t utf-8 makes UTF-8 of it"
        raise NotTextError(f"{name} is {encoding} text", remedy=remedy)
    return line.removeprefix(codecs.BOM_UTF8)


def _line(data: bytes) -> InputLine:
    if len(data) > LONGEST:
        return InputLine("", f"expected at most {LONGEST:,} bytes, got more; split it")
    data = data.removesuffix(b"\r")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return InputLine(data.decode(errors="replace"), f"expected UTF-8 text, got byte {error.start} ({error.reason})")
    at = data.find(0)
    return InputLine(text, "" if at < 0 else f"expected text, got NUL at byte {at}")
