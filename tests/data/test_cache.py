from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from elman import run_folders
from elman.data.cache import Cache
from elman.data.textfile import TextPiece
from elman.data.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from elman.errors import UserError

VALUE = {"texts": [["a", "é"], ["\u2028", ""]], "count": 1 << 63}
FORMAT_1 = {
    *("corpus.json", "tokenizer.json", "train.bin", "train.json", "valid.bin", "valid.json", "pairs.json"),
    *("source_tokenizer.json", "target_tokenizer.json", "train.source.bin", "train.target.json", "valid.jsonl"),
}


def pieces() -> Iterator[TextPiece]:
    yield TextPiece("abc", False, 0)


def never() -> Iterator[TextPiece]:
    raise AssertionError("what is there is not made again")


def test_a_value_is_found_by_what_it_was_made_from(tmp_path: Path) -> None:
    Cache(tmp_path / "new").remember(VALUE, "value", "text", 3)
    cache = Cache(tmp_path / "new")
    assert cache.recall(dict, "value", "text", 3) == VALUE
    for name, made_from in [
        ("value", ["text", 4]),
        ("value", ["text"]),
        ("value", ["text", "3"]),
        ("other", ["text", 3]),
    ]:
        assert cache.recall(dict, name, *made_from) is None
    assert cache.recall(list, "value", "text", 3) is None, "of another kind"
    (path,) = (tmp_path / "new").iterdir()
    before = path.stat().st_mtime_ns
    cache.remember(VALUE, "value", "text", 3)
    assert path.stat().st_mtime_ns == before
    cache.remember({}, "value", "text", 3)
    assert cache.recall(dict, "value", "text", 3) == {}


def test_a_damaged_value_is_not_there(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.remember(VALUE, "value")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for at in range(len(whole) - 1):  # all but the line's end
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert cache.recall(dict, "value") in (None, VALUE)
        path.write_bytes(whole[:at])
        assert cache.recall(dict, "value") is None
    path.write_bytes(whole.replace(b'"a"', b'"b"'))
    assert cache.recall(dict, "value") is None
    cache.remember(VALUE, "value")
    assert path.read_bytes() == whole


@pytest.mark.parametrize("made", [pieces, lambda: iter(())], ids=["some", "none"])
def test_tokens_are_made_once_for_a_content_and_a_tokenizer(tmp_path: Path, made) -> None:
    byte, char = ByteTokenizer(), CharTokenizer("abc")
    first = Cache(tmp_path).tokens("train", "content", byte, made)
    assert Cache(tmp_path).tokens("train", "content", byte, never) == first
    assert np.asarray(first).tolist() == list("".join(piece.text for piece in made()).encode())
    others: list[tuple[str, str, Tokenizer]] = [
        ("valid", "content", byte),
        ("train", "other", byte),
        ("train", "content", char),
    ]
    for other in others:
        assert Cache(tmp_path).open_tokens(*other) is None
    # A file that says what it was made from is not believed under another name.
    for suffix in (".bin", ".json"):
        Cache(tmp_path)._tokens("train", "other", byte).with_suffix(suffix).write_bytes(
            first.path.with_suffix(suffix).read_bytes()
        )
    assert Cache(tmp_path).open_tokens("train", "other", byte) is None


def test_what_fails_half_way_leaves_nothing_at_the_address(tmp_path: Path) -> None:
    def failing() -> Iterator[TextPiece]:
        yield TextPiece("abc", False, 0)
        raise UserError("the text changed")

    cache = Cache(tmp_path)
    with pytest.raises(UserError, match="the text changed"):
        cache.tokens("train", "content", ByteTokenizer(), failing)
    assert not list(tmp_path.iterdir())


def test_the_files_of_other_data_and_of_earlier_formats_go(tmp_path: Path) -> None:
    old = Cache(tmp_path)
    old.remember(VALUE, "text", "old")
    old.tokens("train", "old", ByteTokenizer(), pieces)
    unfinished = tmp_path / f".{next(tmp_path.glob('*.bin')).name}.tmp"
    mine = {tmp_path / name for name in ("notes.txt", "my-data.json", "train-1.bin", "folder")}
    for path in [unfinished, *mine, *(tmp_path / name for name in FORMAT_1)]:
        path.touch()
    (tmp_path / ("text-" + 32 * "0" + ".json")).mkdir()
    mine.add(tmp_path / ("text-" + 32 * "0" + ".json"))
    cache = Cache(tmp_path)
    cache.remember(VALUE, "text", "new")
    made = cache.tokens("train", "new", ByteTokenizer(), pieces)
    cache.remove_others()
    assert (
        set(tmp_path.iterdir()) - mine
        == {*tmp_path.glob("text-*.json"), made.path, made.path.with_suffix(".json")} - mine
    )
    assert mine <= set(tmp_path.iterdir())
    assert cache.recall(dict, "text", "new") == VALUE
    Cache(tmp_path / "missing").remove_others()


def test_a_run_that_is_removed_takes_its_cache_with_it_of_either_format(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.remember(VALUE, "text", "new")
    cache.tokens("train", "new", ByteTokenizer(), pieces)
    for name in FORMAT_1:
        (tmp_path / "cache" / name).touch()
    there = set((tmp_path / "cache").iterdir())
    assert {path for path in run_folders.contents(tmp_path) if path.exists()} == there
