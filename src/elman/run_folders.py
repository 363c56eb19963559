"""Run folders: which of their files are elman's, one process at a time, and what goes where a run is replaced."""

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
FOLDERS = {  # and the names of the files in them
    "model": ("config.json", "model.safetensors", "README.md"),  # and the codecs of the tasks
    "checkpoints": ("step-*.safetensors",),
    "cache": ("*.bin", "*.json", "valid.jsonl"),  # the last one is of earlier builds
    "given": ("data.txt", "data.jsonl", "valid.txt", "valid.jsonl"),  # data that came from memory
}
LOCK = ".lock"
PREPARED = {LOCK, "cache", "given", "env.json", "model"}  # what a run that was killed before its first step leaves
PREPARED |= {atomic.temporary(name) for name in ("env.json", "config.yaml")}
OURS = {LOCK, *FILES, *map(atomic.temporary, FILES), *FOLDERS}


def default_folder(data: str, kind: str, *, again: bool) -> Path:
    """`runs/NAME-KIND`, with a number where that is taken; `again` takes the last one there is."""
    name = data if data in NAMED else Path(data).resolve().name
    for ending in (".gz", ".zst", ".txt", ".tsv", ".jsonl", ".ndjson"):
        name = name.removesuffix(ending)
    name = name or "run"
    path, number = Path("runs") / f"{name}-{kind}", 2
    found = path
    while path.exists():
        found = path
        path, number = Path("runs") / f"{name}-{kind}-{number}", number + 1
    return found if again else path


def contents(folder: Path) -> Iterator[Path]:
    """The files of a run but its lock, its config.yaml first; in place of a folder that is a link, the link."""
    for name in FILES:
        yield from (folder / name, folder / atomic.temporary(name))
    for name, patterns in FOLDERS.items():
        if (folder / name).is_symlink():
            yield folder / name
        else:
            codecs = [f"{codec}.json" for task in TASKS.values() for codec in task.codec_names if name == "model"]
            for pattern in (*patterns, *codecs):
                yield from sorted((folder / name).glob(pattern))
                yield from sorted((folder / name).glob(atomic.temporary(pattern)))


def check_place(folder: Path, *, overwrite: bool) -> None:
    """See whether a new run may be made in a folder; nothing is written.

    Raises:
        UserError: there is something in it and `overwrite` is false, or what is in it is no run.
    """
    with atomic.told(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}", expected="a folder for the run", got="a file", exit_code=2)
        present = _names(folder)
        killed = LOCK in present and present <= PREPARED  # without the lock it is somebody's
        if not present or (killed and not (folder / "model" / "model.safetensors").exists()):
            return
    if not overwrite:
        begun = "config.yaml" in present
        remedy = (
            "go on with it (--resume), replace it (--overwrite)" if begun else "replace what is there (--overwrite)"
        )
        raise UserError(f"{folder} already exists", remedy=f"{remedy} or choose another place (-o)", exit_code=2)
    if "config.yaml" not in present and not present <= OURS:
        raise UserError(f"{folder} is no run: it is not overwritten", remedy="choose another place (-o)", exit_code=2)


def unlink_cache(folder: Path) -> None:
    """Remove a cache that is a link: the tokens of another text must not replace those that it points to."""
    if (folder / "cache").is_symlink():
        atomic.remove([folder / "cache"])


def clear(folder: Path, kept: Iterable[Path] = ()) -> None:
    """Remove a run, but neither its lock, nor its cache (which checks itself), nor what is not elman's or to be kept.

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
    """Keep a run folder to one process, making it where it is not there.

    The lock goes with the process, however it ends. Where there is no run (no config.yaml) in the end, what was
    made goes, and what was there before stays.

    Raises:
        UserError: another process is training in it.
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
            remedy = "wait for it, or choose another place (-o)"
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
        with contextlib.suppress(OSError):  # it is not there, or something else is in it
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
