"""Data as a person gives them in Python: places, or objects in memory that become files."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elman import atomic
from elman.data.frames import plain
from elman.data.sources import EVERY_NAME
from elman.errors import UserError
from elman.tasks import TASKS
from elman.tasks.configuration import GIVEN, Settings
from elman.wording import MEMORY

LONGEST_NAME = 120  # characters: a longer text is no slip in the name of a file


@contextmanager
def in_memory() -> Iterator[Path]:
    """A temporary folder for data in memory. An error tells of the data, and names no file of the folder."""
    with tempfile.TemporaryDirectory(prefix=MEMORY) as made:
        try:
            yield Path(made)
        except UserError as error:
            error.args = (without_places(str(error), Path(made)),)
            raise


def without_places(line: str, made: Path) -> str:
    """A line for people that names no file of a folder for data in memory."""
    for path in made.iterdir():
        line = line.replace(str(path), "data in memory")
    return line


def places(data: Any, targets: Any, folder: Path, name: str = "data", task: str = "auto") -> list[str]:
    """The places of data: one place, or one of sources and one of targets. Data in memory become a file in a folder.

    A `str` that is no place is the text itself, with a warning where it looks like a slip in a name. Data frames, and
    lists of dicts, are lines of JSON. Any other list or array belongs to the task that has records for it: to the one
    with that name, or to the last that has any.

    Raises:
        UserError: no task takes such data.
    """
    given = [each for each in (data, targets) if each is not None]
    if given and all(map(_is_place, given)):
        return list(map(str, given))
    if isinstance(data, str) and targets is None:
        if data and len(data) <= LONGEST_NAME and "\n" not in data:
            message = f"there is no file or named source called {data!r}: it is taken for the text itself"
            warnings.warn(message, stacklevel=3)
        return [_write(folder / f"{name}.txt", data)]
    records = _records(plain(data, name), plain(targets, "targets"), task)
    if records is not None:
        lines = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
        return [_write(folder / f"{name}.jsonl", "".join(lines))]
    expected = (
        "a path, a named source, a text, a data frame, a list of texts or of pairs of texts, or lists or arrays of "
        "inputs and of targets"
    )
    got = " and ".join(map(_kind, given)) or "nothing"
    remedy = ""
    if task in TASKS:
        expected = f"data for {task}"
        if targets is None and TASKS[task].places["source"] and not got.startswith("an empty"):
            remedy = "give their targets behind them"  # as the second of two files
    raise UserError(name, expected=expected, got=got, remedy=remedy, exit_code=2)


def _kind(data: object) -> str:
    """What an object is, in words.

    >>> _kind([]), _kind([1])
    ('an empty list', 'list')
    """
    kind = type(data).__name__
    return f"an empty {kind}" if isinstance(data, Sized) and not len(data) else kind


def _records(data: Any, targets: Any, task: str) -> Iterable[Mapping[str, Any]] | None:
    """Plain data as lines of JSON; None where no task takes them."""
    if targets is None and isinstance(data, list) and data and all(isinstance(row, Mapping) for row in data):
        return data
    asked = [TASKS[task]] if task in TASKS else reversed(TASKS.values())
    found = (task.records(data, targets) for task in asked)
    return next((records for records in found if records is not None), None)


def validation(valid: Any, folder: Path, task: str = "auto") -> list[str]:
    """The places of validation data, as `places` has them; a tuple of two is sources and targets."""
    if valid is None:
        return []
    two = isinstance(valid, tuple) and len(valid) == 2 and not all(isinstance(each, tuple) for each in valid)
    data, targets = valid if two else (valid, None)
    return places(data, targets, folder, "valid", task)


def _is_place(data: object) -> bool:
    """Whether an object is a path, or the name of a file or of a source that exists."""
    if not isinstance(data, str):
        return isinstance(data, Path)
    try:
        return data in EVERY_NAME or (data != "" and Path(data).exists())
    except (OSError, ValueError):  # the text is too long for a name, or has a NUL in it
        return False


def _write(path: Path, text: str) -> str:
    try:
        atomic.write_text(path, text)
    except UnicodeEncodeError:
        raise UserError(path.stem, expected="text that UTF-8 can spell", got="a lone surrogate in it") from None
    return str(path)


def adopt(settings: Settings, made: Path | None, folder: Path) -> Settings:
    """Copy data that `places` wrote into `made` into the run folder, and return the settings with the new places."""
    moved = {}
    for name, value in settings.data:
        if made is not None and isinstance(value, str) and Path(value).parent == made:
            path = folder.resolve() / GIVEN / Path(value).name
            with atomic.told(path):
                path.parent.mkdir(exist_ok=True)
                with Path(value).open("rb") as file, atomic.writing(path) as copy:
                    shutil.copyfileobj(file, copy)
            moved[name] = str(path)
    return settings.with_data(moved)
