"""Lines from blocks of bytes: whatever the blocks are, and whatever a line holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import linefile
from elman.data.linefile import InputLine, arriving_lines
from elman.data.textfile import NotTextError


def cut(data: bytes, at: list[int]) -> Iterator[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return (data[begin:end] for begin, end in itertools.pairwise(places))


def read(blocks: Iterator[bytes]) -> list[InputLine]:
    return [line._replace(raw=b"") for lines in arriving_lines(blocks, "stdin") for line in lines]


pieces = st.sampled_from([b"a", "é☃".encode(), b"\r", b"\x00", b"\xff", b"\xc3", b"\x0c", "\u2028".encode(), b"\n"])


@given(st.lists(pieces, max_size=30).map(b"".join), st.lists(st.integers(0, 99), max_size=6))
def test_a_line_is_what_stands_between_line_ends(data: bytes, at: list[int]) -> None:
    """Every line by itself, read as Python reads it, and none that the blocks or another line decide."""
    expected = data.split(b"\n")
    found = read(cut(data, at))
    assert len(found) == len(expected) - (expected[-1] == b"")
    for line, raw in zip(found, expected, strict=False):
        raw = raw.removesuffix(b"\r")
        assert line.text == raw.decode(errors="replace")
        assert bool(line.error) == (0 in raw or line.text.encode() != raw)
        assert ("UTF-8" in line.error) == (line.text.encode() != raw)


@given(st.lists(pieces, max_size=30).map(b"".join), st.lists(st.integers(0, 99), max_size=6), st.booleans())
def test_lines_keep_every_byte(data: bytes, at: list[int], marked: bool) -> None:
    data = b"\xef\xbb\xbf" * marked + data
    assert b"".join(line.raw for lines in arriving_lines(cut(data, at), "stdin") for line in lines) == data


@pytest.mark.parametrize("size", [1, 2, 3, 99])
def test_a_byte_order_mark_is_dropped_from_the_first_line_alone(size: int) -> None:
    data = "\ufeffa\n\ufeffb".encode()
    assert read(iter(data[at : at + size] for at in range(0, len(data), size))) == [
        InputLine("a"),
        InputLine("\ufeffb"),
    ]
    assert read(iter(["\ufeffa".encode()])) == [InputLine("a")]


@pytest.mark.parametrize("size", [1, 2, 99])
@pytest.mark.parametrize("text", ["ab", "ab\ncd\n", "\nab"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_another_encoding_is_named(size: int, text: str, encoding: str) -> None:
    data = f"\ufeff{text}".encode(encoding)
    name = encoding[:6]
    with pytest.raises(NotTextError, match=f"stdin is {name.upper()} text; iconv -f {name} -t utf-8"):
        read(iter(data[at : at + size] for at in range(0, len(data), size)))


def test_a_line_without_an_end_takes_no_memory_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linefile, "LONGEST", 10)
    assert [line.error for line in read(iter([b"a" * 10 + b"\nb"]))] == ["", ""]
    long, after = read(iter([b"a" * 6, b"a" * 4, b"a" * 10**6, b"\nb"]))
    assert long == InputLine("", "expected at most 10 bytes, got more; split it")
    assert after == InputLine("b")


def test_a_line_is_there_before_the_next_block() -> None:
    asked = []

    def blocks() -> Iterator[bytes]:
        for block in (b"a\nb\nc", b"d\n", b"e"):
            asked.append(block)
            yield block

    stream = arriving_lines(blocks(), "stdin")
    assert [line.text for line in next(stream)] == ["a", "b"]
    assert asked == [b"a\nb\nc"]
    assert [[line.text for line in lines] for lines in stream] == [["cd"], ["e"]]
