import gzip
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data.textfile import BLOCK, NotTextError, blocks, cut, decode, is_text, lines, read_pieces
from elman.errors import UserError

HERE = Path("some.txt")


def documents(path: Path) -> list[str]:
    """The file's documents, each whole."""
    whole, parts = [], []
    for piece in read_pieces(path):
        parts.append(piece.text)
        if piece.ends:
            whole.append("".join(parts))
            parts = []
    assert not parts, "the last document ends too"
    return whole


def in_blocks(data: bytes, sizes: list[int]) -> list[bytes]:
    found = []
    for size in sizes:
        found.append(data[:size])
        data = data[size:]
    return [*found, data]


def decoded(chunks: list[bytes]) -> str:
    """The text of blocks of bytes, or the line that is said instead."""
    try:
        return "text: " + "".join(decode(chunks, HERE))
    except NotTextError as error:
        return str(error)


def whole(data: bytes) -> str:
    """What `decoded` shall give however the data are cut, by Python's own decoder of a whole text."""
    for codec in ("utf-32", "utf-16"):
        if data.startswith(("\ufeff".encode(f"{codec}-le"), "\ufeff".encode(f"{codec}-be"))):
            return f"some.txt is {codec.upper()} text; iconv -f {codec} -t utf-8 'some.txt' > utf8.txt"
    nul = data.find(0)
    try:
        text = (data if nul < 0 else data[: nul + 1]).decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return (
            f"some.txt is not UTF-8 text: line {line}, byte {error.start} ({error.reason}); "
            "if it is text, convert it, for instance: iconv -f latin1 -t utf-8 'some.txt' > utf8.txt"
        )
    if nul >= 0:
        return f"some.txt is binary: NUL at byte {nul}; give a text file"
    return "text: " + text.removeprefix("\ufeff").replace("\r\n", "\n")


MARKED = st.tuples(
    st.sampled_from(["", "\ufeff", "\ufeff\ufeff"]),
    st.text(st.characters(codec="utf-8") | st.sampled_from("\r\n\ufeff\0é漢🙂"), max_size=20),
    st.sampled_from(["utf-8"] * 4 + ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "latin-1"]),
    st.binary(max_size=6),
).map(lambda drawn: (drawn[0] + drawn[1]).encode(drawn[2], "ignore") + drawn[3])


@settings(max_examples=400)
@given(MARKED | st.binary(max_size=12), st.lists(st.integers(0, 5)))
def test_what_is_decoded_does_not_depend_on_the_blocks(data: bytes, sizes: list[int]) -> None:
    assert (
        decoded([data]) == decoded(in_blocks(data, [1] * len(data))) == decoded(in_blocks(data, sizes)) == whole(data)
    )


@pytest.mark.parametrize("mark", ["\ufeff", "\ufeff\ufeff", "a\ufeff"])
def test_a_mark_is_dropped_where_a_reader_gives_a_byte_at_a_time(mark: str) -> None:
    """One mark, and at the beginning alone."""
    assert decoded(in_blocks(mark.encode(), [1] * 9)) == "text: " + mark.removeprefix("\ufeff")


def test_only_what_may_be_a_mark_waits_for_more() -> None:
    """Lines are translated as they arrive."""

    def arriving() -> Iterator[bytes]:
        yield b"a"
        raise AssertionError("asked for more")

    assert next(decode(arriving(), HERE)) == "a"


@given(st.text(), st.integers(1, 9))
def test_cutting_loses_nothing(text: str, size: int) -> None:
    assert "".join(cut(blocks(text, size))) == text
    assert all(cut(blocks(text, size)))


@given(st.text("ab \n"), st.integers(1, 9))
def test_a_word_is_not_cut_where_white_space_is_near(text: str, size: int) -> None:
    pieces = list(cut(blocks(text, size)))
    for left, right in pairwise(pieces):
        between_words = left[-1] == "\n" or right[0] in " \n"
        assert between_words or len(left.split()) <= 1


@given(st.text("ab\n"), st.integers(1, 9))
def test_lines_over_blocks(text: str, size: int) -> None:
    expected = text.split("\n")
    assert list(lines(blocks(text, size))) == (expected if expected[-1] else expected[:-1])


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".txt.zst", ".TXT.GZ"])
def test_plain_and_compressed(tmp_path: Path, suffix: str) -> None:
    text = "naïve café 漢字 🙂\r\nline\rend\n" * 30_000
    data = text.encode()
    if suffix.lower().endswith(".gz"):
        data = gzip.compress(data[:1000]) + gzip.compress(data[1000:])
    if suffix.endswith(".zst"):
        data = zstandard.compress(data[:1000]) + zstandard.compress(data[1000:])
    path = tmp_path / f"text{suffix}"
    path.write_bytes(data)
    pieces = list(read_pieces(path))
    assert "".join(piece.text for piece in pieces) == text.replace("\r\n", "\n")
    assert [piece.ends for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert max(len(piece.text) for piece in pieces) <= 2 * BLOCK
    positions = [piece.position for piece in pieces]
    assert positions == sorted(positions)
    assert positions[-1] == len(data)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_json_lines(tmp_path: Path, suffix: str) -> None:
    texts = ["one\r\ntwo", "", "long " * BLOCK, "lone \ud83d surrogate", "nul \0", "é\n"]
    data = "\n\n".join(json.dumps({"id": 1, "text": text}) for text in texts).encode()
    compress = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[suffix]
    path = tmp_path / f"docs.jsonl{suffix}"
    path.write_bytes(compress(data))
    assert documents(path) == ["one\ntwo", "long " * BLOCK, "lone \ufffd surrogate", "nul \0", "é\n"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"text": "cut sho', "line 3: not JSON (Unterminated string"),
        ('{"txt": "a"}', 'line 3: expected an object with a string "text", got keys txt'),
        ('{"text": 3}', 'got a "text" of type int'),
        ("[1, 2]", "got list"),
        ("[" * 100_000, "line 3: not JSON"),
    ],
)
def test_bad_json_lines(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_text('{"text": "good"}\n\n' + line + "\n")
    with pytest.raises(UserError) as caught:
        documents(path)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("before", [0, 7, BLOCK - 1, BLOCK, BLOCK + 3])
def test_not_utf8_says_at_which_byte(tmp_path: Path, before: int) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"a" * before + "café".encode("latin-1") + b" noir")
    with pytest.raises(UserError, match=rf"byte {before + 3} \(.*iconv -f latin1 -t utf-8"):
        documents(path)
    assert not is_text(path)


@pytest.mark.parametrize("before", [0, BLOCK - 1])
def test_a_character_cut_short_at_the_end(tmp_path: Path, before: int) -> None:
    path = tmp_path / "cut.txt"
    path.write_bytes(b"a" * before + "漢".encode()[:2])
    with pytest.raises(UserError, match=f"byte {before} "):
        documents(path)


def test_binary_and_utf16(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes("é".encode() + b"\x7fELF\0\0")
    with pytest.raises(UserError, match="is binary: NUL at byte 6"):
        documents(path)
    path.write_text("text", encoding="utf-16")
    with pytest.raises(UserError, match="is UTF-16 text; iconv"):
        documents(path)
    assert not is_text(path)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("damage", ["cut", "broken", "not compressed"])
def test_damaged_archives(tmp_path: Path, suffix: str, damage: str) -> None:
    text = "".join(chr(33 + n * n * n % 89) for n in range(200_000)).encode()
    data = bytearray({".gz": gzip.compress, ".zst": zstandard.compress}[suffix](text))
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "broken":
        data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
    else:
        data = bytearray(text)
    path = tmp_path / f"text.txt{suffix}"
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged or cut short"):
        documents(path)


def test_byte_order_mark_and_empty(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbfabc")
    assert documents(path) == ["abc"]
    path.write_bytes(b"\xef\xbb\xbf")
    assert documents(path) == []
    path.write_bytes(b"ends with\r")
    assert documents(path) == ["ends with\r"]


def test_missing_zstandard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text.zst"
    path.write_bytes(zstandard.compress(b"text"))
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(UserError, match=r"pip install 'elman\[zstd\]'"):
        documents(path)
