"""Run folders: which of their files are elman's, the lock of a folder, and what is removed when a run is replaced."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from elman import atomic, locking
from elman.data.sources import NAMED
from elman.errors import UserError
from elman.tasks import TASKS

FILES = ("config.yaml", "env.json", "metrics.jsonl", "timing.jsonl", "load.jsonl", "report.html")
FOLDERS = {  # the folders, and the names of the files in them
    "model": ("config.json", "model.safetensors", "README.md"),  # beside the codecs of the tasks
    "checkpoints": ("step-*.safetensors",),
    "cache": ("*.bin", "*.json", "valid.jsonl"),  # the last one is of earlier builds
    "given": ("data.txt", "data.jsonl", "valid.txt", "valid.jsonl"),  # data that came from memory
}
LOCK = ".lock"
# What may be in the folder of a run that was killed before its first step.
PREPARED = {LOCK, "cache", "given", "env.json", "model", *map(atomic.temporary, ("env.json", "config.yaml"))}
OURS = {LOCK, *FILES, *map(atomic.temporary, FILES), *FOLDERS}


def default_folder(data: str, kind: str, *, again: bool) -> Path:
    """`runs/NAME-KIND`, with a number where that folder is there; with `again`, the last one that is there."""
    name = data if data in NAMED else Path(data).resolve().name
    for ending in (".gz", ".zst", ".txt", ".tsv", ".jsonl", ".ndjson"):
        name = name.removesuffix(ending)
    first = found = path = Path("runs") / f"{name or 'run'}-{kind}"
    number = 2
    while path.exists():
        found, path, number = path, first.with_name(f"{first.name}-{number}"), number + 1
    return found if again else path


def contents(folder: Path) -> Iterator[Path]:
    """The files that a run may have but its lock, config.yaml first; a folder that is a link counts as a file."""
    for name in FILES:
        yield from (folder / name, folder / atomic.temporary(name))
    for name, patterns in FOLDERS.items():
        if (folder / name).is_symlink():
            yield folder / name
        else:
            codecs = [f"{codec}.json" for task in TASKS.values() for codec in task.codec_names if name == "model"]
            for pattern in (*patterns, *codecs):
                for each in (pattern, atomic.temporary(pattern)):
                    yield from sorted((folder / name).glob(each))


def check_place(folder: Path, *, overwrite: bool) -> None:
    """Check that a new run may be made in a folder; nothing is written.

    Raises:
        UserError: the folder is not empty and `overwrite` is false, or its files are no run's.
    """
    with atomic.told(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}", expected="a folder for the run", got="a file", exit_code=2)
        present = _names(folder)
        killed = LOCK in present and present <= PREPARED  # without the lock, the files are somebody's
        if not present or (killed and not (folder / "model" / "model.safetensors").exists()):
            return
    if not overwrite:
        what = "go on with it (--resume), replace it" if "config.yaml" in present else "replace what is there"
        remedy = f"{what} (--overwrite) or choose another place (-o)"
        raise UserError(f"{folder} already exists", remedy=remedy, exit_code=2)
    if "config.yaml" not in present and not present <= OURS:
        raise UserError(f"{folder} is no run: it is not overwritten", remedy="choose another place (-o)", exit_code=2)


def unlink_cache(folder: Path) -> None:
    """Remove a cache that is a link: the tokens of another text must not replace those that it points to."""
    if (folder / "cache").is_symlink():
        atomic.remove([folder / "cache"])


def clear(folder: Path, kept: Iterable[Path] = ()) -> None:
    """Remove a run but its lock, its cache (whose files are checked when they are read), and given data in `kept`.

    Raises:
        UserError: one of the files cannot be removed, or a folder is in its place; then all are still there.
    """
    # config.yaml first: what a kill leaves of the rest is not taken for a run that can go on.
    staying = {path.resolve() for path in kept}
    ours = [path for path in contents(folder) if folder / "cache" not in (path, path.parent)]
    ours = [path for path in ours if path.parent != folder / "given" or path.resolve() not in staying]
    atomic.check_replaceable(*ours)
    atomic.remove(ours)
    _remove_empty(folder, ["model", "checkpoints", "given"])


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Make a run folder where there is none, and keep it to this process.

    The lock is released when the process ends, however it ends. Where the folder then holds no config.yaml, whatever
    was made is removed, and whatever was there before stays.

    Raises:
        UserError: another process is training in the folder.
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
            alone = locking.lock(file)
        if not alone:
            remedy = "wait until it has ended, or choose another place (-o)"
            raise UserError(f"another process is training in {folder}", remedy=remedy)
        try:
            yield
        finally:
            if not (folder / "config.yaml").exists():
                _undo(folder, before, made)


def _undo(folder: Path, before: set[str], made: list[Path]) -> None:
    with contextlib.suppress(OSError, UserError):
        atomic.remove(path for path in contents(folder) if path.relative_to(folder).parts[0] not in before)
        _remove_empty(folder, [name for name in FOLDERS if name not in before])
        if LOCK not in before:
            (folder / LOCK).unlink()
        for path in made:
            path.rmdir()


def _remove_empty(folder: Path, names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError):  # there is no such folder, or another file is in it
            (folder / name).rmdir()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def is_locked(folder: Path) -> bool:
    """Whether another process is training in a folder."""
    try:
        with (folder / LOCK).open("r+b") as file:
            return not locking.lock(file)
    except OSError:
        return False
