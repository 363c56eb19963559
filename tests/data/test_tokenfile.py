import json
from pathlib import Path

import numpy as np
import pytest

from elman.data.textfile import TextPiece
from elman.data.tokenfile import open_tokens, write_tokens
from elman.data.tokenizers import ByteTokenizer, CharTokenizer
from elman.errors import UserError

PIECES = [
    TextPiece("abc", False, 0),
    TextPiece("é", False, 0),
    TextPiece("", True, 0),
    TextPiece("b?", False, 0),
    TextPiece("", True, 0),
]


def test_write_and_open(tmp_path: Path) -> None:
    tokenizer = CharTokenizer("abcé", eod=True)
    made = write_tokens(tmp_path / "new" / "a.bin", PIECES, tokenizer, "here")
    assert open_tokens(tmp_path / "new" / "a.bin") == made
    assert np.asarray(made).tolist() == [0, 1, 2, 3, 5, 1, 4, 5]
    assert (len(made), made.characters, made.bytes, made.documents, made.unknown) == (8, 6, 7, 2, 1)
    assert made.path.stat().st_size == 16
    assert not np.asarray(made).flags.writeable
    assert np.array(made, copy=True).flags.writeable


def test_without_eod_documents_are_joined(tmp_path: Path) -> None:
    made = write_tokens(tmp_path / "a.bin", PIECES, ByteTokenizer(), "")
    assert bytes(np.asarray(made).astype(np.uint8)).decode() == "abcéb?"
    assert made.unknown == 0


def test_large_vocabularies_take_four_bytes(tmp_path: Path) -> None:
    small = CharTokenizer("".join(map(chr, range(0x10000, 0x1FFFF))))
    large = CharTokenizer("".join(map(chr, range(0x10000, 0x20000))))
    assert (small.vocab_size, small.dtype.itemsize, large.dtype.itemsize) == (65536, 2, 4)
    made = write_tokens(tmp_path / "a.bin", [TextPiece("\U0001ffff?", False, 0)], large, "")
    assert np.asarray(made).tolist() == [65535, 65536]


def test_nothing_can_be_written_and_read(tmp_path: Path) -> None:
    made = write_tokens(tmp_path / "a.bin", [], ByteTokenizer(), "")
    assert open_tokens(made.path) == made
    assert np.asarray(made).tolist() == []


def test_a_kill_leaves_no_token_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_tokens(path, PIECES, ByteTokenizer(), "")

    def killed():
        yield PIECES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tokens(path, killed(), ByteTokenizer(), "")
    assert open_tokens(path) is None
    assert write_tokens(path, PIECES, ByteTokenizer(), "") == open_tokens(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.bin", "a.json"]


@pytest.mark.parametrize("damage", ["short", "long", "gone", "no facts", "half facts", "other facts"])
def test_what_does_not_fit_is_no_token_file(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.bin"
    write_tokens(path, PIECES, ByteTokenizer(), "")
    facts = path.with_suffix(".json")
    if damage in ("short", "long"):
        path.write_bytes((path.read_bytes() * 2)[: 5 if damage == "short" else None])
    elif damage == "gone":
        path.unlink()
    elif damage == "no facts":
        facts.unlink()
    elif damage == "half facts":
        facts.write_text(facts.read_text()[:50])
    else:
        facts.write_text(json.dumps({"tokens": 3}))
    assert open_tokens(path) is None


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    (tmp_path / "a.bin" / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_tokens(tmp_path / "a.bin", PIECES, ByteTokenizer(), "")
    assert not (tmp_path / "a.tmp").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_tokens(tmp_path / "file" / "a.bin", PIECES, ByteTokenizer(), "")
