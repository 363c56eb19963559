"""Lines as they come in, each of them a text or the reason why it is none: a bad line takes no other with it."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from elman.data.textfile import NotTextError, other_encoding

LONGEST = 1 << 24  # bytes of a line that are kept: without an end of lines, memory stays bounded


class InputLine(NamedTuple):
    """A line without its end. `error` says why it is no text, where it is none; then `text` is what is left."""

    text: str
    error: str = ""


def arriving_lines(blocks: Iterable[bytes], name: str) -> Iterator[list[InputLine]]:
    r"""The lines that each block of bytes completes, as soon as it is there; one without an end is the last.

    A byte order mark is dropped, and so is a `\r` before the end of a line.

    Errors: `NotTextError` where `name` is UTF-16 or UTF-32 text, of which no line could be read.

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
