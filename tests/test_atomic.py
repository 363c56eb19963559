import errno
import os
from pathlib import Path

import pytest

from elman import atomic
from elman.errors import UserError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_written_whole_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    atomic.write_text(path, "é")
    assert path.read_bytes() == "é".encode()
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_where_writing_fails_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, step: str
) -> None:
    path = tmp_path / "file"
    atomic.write_bytes(path, b"old")

    def fail(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[step], fail)
    with pytest.raises(UserError, match=f"cannot write {path}: {os.strerror(code)}"):
        atomic.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_what_a_killed_write_left_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *a, **k: None)  # a killed process cleans nothing up
        patch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            atomic.write_bytes(path, b"a long half-written thing")
    assert names(tmp_path) == [".file.tmp"]
    atomic.write_bytes(path, b"new")
    assert names(tmp_path) == ["file"]
    assert path.read_bytes() == b"new"


def test_a_place_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*/file/below"):
        atomic.write_bytes(tmp_path / "file" / "below", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*/folder"):
        atomic.write_bytes(tmp_path / "folder", b"")
    assert names(tmp_path) == ["file", "folder"]


def test_no_permission_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Permission denied; choose a place"), atomic.told(tmp_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for name in ("file", ".file.tmp"):
        (tmp_path / name).symlink_to("mine")
    atomic.write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "file").is_symlink()
    assert names(tmp_path) == ["file", "mine"]


def test_what_a_link_points_to_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    ours = tmp_path / "ours"
    (ours / "folder").mkdir(parents=True)
    (ours / "file").touch()
    (ours / "link").symlink_to(tmp_path / "mine")
    (ours / "dangling").symlink_to("nowhere")
    atomic.remove(ours / name for name in ("folder", "file", "link", "dangling", "nothing"))
    assert names(ours) == ["folder"]
    assert (tmp_path / "mine" / "file").read_text() == "mine"


def test_where_one_cannot_be_removed_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked" / "b").touch()
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked" and may(path, mode))
    with pytest.raises(UserError, match=r"cannot remove .*/b: .*/locked is write-protected"):
        atomic.remove([tmp_path / "a", tmp_path / "locked" / "b"])
    assert names(tmp_path) == ["a", "locked"]


def test_an_error_without_a_number_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"cannot write {tmp_path}: some words"), atomic.told(tmp_path):
        raise OSError("some words")
