import gzip
import os
from pathlib import Path

import pytest

from elman.data.sources import Source, open_source, python_stdlib, text_in_memory
from elman.errors import UserError


def texts(source: Source) -> list[str]:
    whole, text = [], ""
    for piece in source.pieces():
        text += piece.text
        if piece.ends:
            whole.append(text)
            text = ""
    return whole


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("hidden")
    (tmp_path / ".hidden.txt").write_text("hidden")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b" / "one.md").write_text("second")
    (tmp_path / "b" / "two.txt.gz").write_bytes(gzip.compress(b"third"))
    (tmp_path / "c.jsonl").write_text('{"text": "fourth"}\n{"text": "fifth"}')
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "late.txt").write_bytes(b"fine at first " * 100_000 + b"\xff")
    return tmp_path


def test_a_folder_is_its_texts_in_order(folder: Path) -> None:
    source = open_source(folder)
    for _ in range(2):
        assert texts(source) == ["first", "fourth", "fifth", "second", "third"]
        assert source.skipped == 2
    assert source.size == sum(file.stat().st_size for file in source.files)


def test_positions_run_to_the_size(folder: Path) -> None:
    positions = [piece.position for piece in open_source(folder).pieces()]
    assert positions == sorted(positions)
    assert 0 < positions[0] <= positions[-1] <= open_source(folder).size


def test_the_stamp_tells_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = open_source(path).stamp
    assert open_source(str(path)).stamp == first
    os.utime(path, ns=(0, 1))
    second = open_source(path).stamp
    path.write_text("one two")
    os.utime(path, ns=(0, 1))
    assert len({first, second, open_source(path).stamp}) == 3


def test_a_folder_without_texts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no files"):
        open_source(tmp_path)
    (tmp_path / "image.png").write_bytes(b"\0")
    with pytest.raises(UserError, match="no file in it is UTF-8 text"):
        texts(open_source(tmp_path))
    (tmp_path / "image.png").write_bytes(b"")
    with pytest.raises(UserError, match="holds no text: it is empty"):
        texts(open_source(tmp_path))


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("")
    with pytest.raises(UserError, match="holds no text: it is empty") as caught:
        texts(open_source(path))
    assert caught.value.exit_code == 1


def test_nothing_by_that_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'python-stdlib'") as caught:
        open_source("python-stdlb")
    assert caught.value.exit_code == 2
    with pytest.raises(UserError, match="no such file or named source"):
        open_source(tmp_path / "nowhere.txt")
    with pytest.raises(UserError, match="cannot read"):
        open_source("a text and not a name " * 1000)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is not a file"):
        open_source(tmp_path / "pipe")


def test_a_file_that_vanishes_while_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    source = open_source(path)
    path.unlink()
    with pytest.raises(UserError, match="cannot read"):
        texts(source)


def test_python_stdlib() -> None:
    files = python_stdlib()
    assert files == python_stdlib()
    assert [file.name for file in files] != sorted(file.name for file in files)
    assert {"json", "ast.py", "textwrap.py"} <= {part for file in files for part in file.parts}
    source = open_source("python-stdlib")
    assert 3e6 < source.size < 12e6
    found = "".join(texts(source))
    assert found.isascii()
    assert len(set(found)) <= 100


def test_a_run_folder_among_the_texts_is_no_text(folder: Path) -> None:
    before = open_source(folder)
    (folder / "runs" / "a" / "cache").mkdir(parents=True)
    (folder / "runs" / "a" / ".lock").touch()
    (folder / "runs" / "a" / "config.yaml").write_text("kind: lstm")
    assert open_source(folder) == before


def test_text_in_memory(tmp_path: Path) -> None:
    source = text_in_memory(["a \r\nb\ud800", "", "c" * 1_000_000])
    assert open_source(source) is source
    assert texts(source) == ["a \nb\ufffd", "c" * 1_000_000]
    positions = [piece.position for piece in source.pieces()]
    assert positions == sorted(positions)
    assert positions[-1] == source.size == 1_000_005
    assert source.skipped == 0
    assert texts(text_in_memory("one\ntext")) == ["one\ntext"]
    stamps = {text_in_memory(text).stamp for text in ("ab", ["ab"], ["a", "b"], "", ["b", "a"])}
    assert len(stamps) == 4
    with pytest.raises(UserError, match="document 2: expected a string, got int"):
        text_in_memory(["a", 1])  # type: ignore[list-item]
