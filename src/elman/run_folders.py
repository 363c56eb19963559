"""Run folders: which files in them are elman's, one process at a time, and the removal of a run that is replaced."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from elman import atomic
from elman.data.sources import EVERY_NAME
from elman.errors import UserError
from elman.tasks import TASKS

FILES = ("config.yaml", "env.json", "metrics.jsonl", "timing.jsonl", "load.jsonl", "report.html")
IN_PARTS = ("step-*[0-9]", atomic.temporary("step-*[0-9]"))  # checkpoints that are folders
FOLDERS = {  # and the names of the files in them
    "model": ("config.json", "model.safetensors", "README.md"),  # and the codecs of the tasks
    "checkpoints": (
        "step-*.safetensors",
        *(f"{name}/{file}" for name in IN_PARTS for file in ("shard-*.safetensors", "values.json")),
    ),
    "cache": ("*.bin", "*.json", "valid.jsonl"),  # earlier builds wrote valid.jsonl
    "given": ("data.txt", "data.jsonl", "valid.txt", "valid.jsonl"),  # data that came from memory
}
LOCK = ".lock"
ENDINGS = (".txt", ".tsv", ".csv", ".jsonl", ".ndjson", ".parquet", ".conllu", ".conll", ".ts", ".npz")
# The leftovers of a run that was killed before its first step.
PREPARED = {LOCK, "cache", "given", "env.json", "model", *map(atomic.temporary, ("env.json", "config.yaml"))}
OURS = {LOCK, *FILES, *map(atomic.temporary, FILES), *FOLDERS}


def default_folder(data: str, kind: str, *, again: bool) -> Path:
    """`runs/NAME-KIND`, with a number where that is taken; `again` takes the last one there is."""
    name = data if data in EVERY_NAME else Path(data).resolve().name
    for ending in (".gz", ".zst", *ENDINGS):
        name = name.removesuffix(ending)
    name = name or "run"
    path, number = Path("runs") / f"{name}-{kind}", 2
    found = path
    while path.exists():
        found = path
        path, number = Path("runs") / f"{name}-{kind}-{number}", number + 1
    return found if again else path


def contents(folder: Path) -> Iterator[Path]:
    """The files of a run except its lock, config.yaml first; a folder that is a link is given as that link."""
    for name in FILES:
        yield from (folder / name, folder / atomic.temporary(name))
    for name, patterns in FOLDERS.items():
        if (folder / name).is_symlink():
            yield folder / name
        else:
            codecs = [f"{codec}.json" for task in TASKS.values() for codec in task.codec_names if name == "model"]
            for pattern in (*patterns, *codecs):
                yield from sorted(path for path in (folder / name).glob(pattern) if not path.parent.is_symlink())
                yield from sorted((folder / name).glob(atomic.temporary(pattern)))


def check_place(folder: Path, *, overwrite: bool) -> None:
    """Raise `UserError` where a folder is not empty and `overwrite` is false, or its contents are no run."""
    with atomic.told(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}", expected="a folder for the run", got="a file", exit_code=2)
        present = _names(folder)
        killed = LOCK in present and present <= PREPARED  # without the lock the files are somebody's
        if not present or (killed and not (folder / "model" / "model.safetensors").exists()):
            return
    begun = "config.yaml" in present
    if not overwrite:
        ways = "go on with it (--resume), replace it (--overwrite)" if begun else "replace its contents (--overwrite)"
        raise UserError(f"{folder} already exists", remedy=f"{ways} or choose another place (-o)", exit_code=2)
    if not begun and not present <= OURS:
        raise UserError(f"{folder} is no run: it is not overwritten", remedy="choose another place (-o)", exit_code=2)


def unlink_cache(folder: Path) -> None:
    """Remove a cache that is a link: the tokens of another text must not replace those behind the link."""
    if (folder / "cache").is_symlink():
        atomic.remove([folder / "cache"])


def clear(folder: Path, kept: Iterable[Path] = ()) -> None:
    """Remove a run, except its lock, its cache (which checks itself), `kept` and all files that are not elman's.

    Raises `UserError`, before any file is removed, where one cannot be removed or a folder is in its place.
    """
    staying = {path.resolve() for path in kept}
    # config.yaml goes first: leftovers of a kill without it are not taken for a run that can go on.
    ours = [path for path in contents(folder) if folder / "cache" not in (path, path.parent)]
    ours = [path for path in ours if path.parent != folder / "given" or path.resolve() not in staying]
    atomic.check_replaceable(*ours)
    atomic.remove(ours)
    _remove_empty(folder, ["model", "checkpoints", "given"])


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep a run folder, which is made where there is none, to one process.

    The lock ends with the process, however that ends. Where there is no run (no config.yaml) in the end, all that was
    made is removed, and all that was there before stays. Raises `UserError` where another process has the lock.
    """
    with atomic.told(folder):
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        before = _names(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(folder / LOCK) and ((folder / LOCK).is_symlink() or not (folder / LOCK).is_file()):
            raise UserError(f"{folder / LOCK} is no file: nothing can be locked by it", remedy="remove it")
        file = (folder / LOCK).open("a")
    with file:
        with atomic.told(folder):
            alone = lock_file(file)
        if not alone:
            remedy = "wait until it has ended, or choose another place (-o)"
            raise UserError(f"another process is training in {folder}", remedy=remedy)
        try:
            yield
        finally:
            if not (folder / "config.yaml").exists():
                with contextlib.suppress(OSError, UserError):
                    _undo(folder, before, made)


def lock_file(file: IO[Any]) -> bool:
    """Lock an open file until it is closed; False where another process has locked it.

    On a system without locks on files (neither Unix nor Windows), nobody is kept out.
    """
    if fcntl := _module("fcntl"):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    elif msvcrt := _module("msvcrt"):
        file.seek(0)  # the lock is on bytes from here on, which need not exist
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
    return True


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:  # not every system has this module
        return None


def _undo(folder: Path, before: set[str], made: list[Path]) -> None:
    atomic.remove(path for path in contents(folder) if path.relative_to(folder).parts[0] not in before)
    _remove_empty(folder, [name for name in FOLDERS if name not in before])
    if LOCK not in before:
        (folder / LOCK).unlink()
    for path in made:
        path.rmdir()


def _remove_empty(folder: Path, names: list[str]) -> None:
    for name in names:
        parts = (
            [] if (folder / name).is_symlink() else [part for form in IN_PARTS for part in (folder / name).glob(form)]
        )
        for path in (*parts, folder / name):
            with contextlib.suppress(OSError):  # there is no such folder, or other files are in it
                path.rmdir()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def is_locked(folder: Path) -> bool:
    """Whether another process is training in a folder."""
    try:
        with (folder / LOCK).open("r+b") as file:
            return not lock_file(file)
    except OSError:
        return False
