"""What a person gives to a training or to a run: places of data, data in memory, settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elman import atomic
from elman.data.sources import NAMED, NAMED_PAIRS
from elman.errors import UserError, suggestion
from elman.tasks import TASKS, configuration, recognise
from elman.tasks.configuration import GIVEN, Settings, called
from elman.tasks.task import Say

NAME = 120  # characters: a longer text is no slip in the name of a file


def place(data: object) -> str | None:
    """The path or the named source that an object is; None for anything else."""
    if isinstance(data, Path):
        return str(data)
    if not isinstance(data, str) or not data:
        return None
    try:
        return data if data in NAMED or data in NAMED_PAIRS or Path(data).exists() else None
    except (OSError, ValueError):  # too long for a name, or with a NUL in it
        return None


def places(data: Any, targets: Any, folder: Path, name: str = "data", say: Say = lambda line: None) -> list[str]:
    """Where data are: one place, or one of sources and one of targets. Data in memory become a file in a folder.

    A `str` that is no place is the text itself. A list belongs to a task that has records for it.

    Raises:
        UserError: no task takes such data.
    """
    found = [place(each) for each in (data, targets) if each is not None]
    if found and None not in found:
        return [each for each in found if each is not None]
    if isinstance(data, str) and targets is None:
        if data and len(data) <= NAME and "\n" not in data:
            say(f"there is no file or named source called {data!r}: it is taken for the text itself")
        return [_write(folder / f"{name}.txt", data)]
    for task in reversed(TASKS.values()):
        if (records := task.records(data, targets)) is not None:
            lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            return [_write(folder / f"{name}.jsonl", "".join(lines))]
    got = " and ".join(type(each).__name__ for each in (data, targets) if each is not None)
    expected = "a path, a named source, a text, a list of texts, or a list of pairs of texts"
    raise UserError(name, expected=expected, got=got or "nothing", exit_code=2)


def validation(valid: Any, folder: Path, say: Say) -> list[str]:
    """The places of validation data: as `places`, a tuple of two being sources and targets."""
    if valid is None:
        return []
    two = isinstance(valid, tuple) and len(valid) == 2 and not all(isinstance(each, tuple) for each in valid)
    data, targets = valid if two else (valid, None)
    return places(data, targets, folder, "valid", say)


def _write(path: Path, text: str) -> str:
    try:
        atomic.write_text(path, text)
    except UnicodeEncodeError:
        raise UserError(path.stem, expected="text that UTF-8 can spell", got="a lone surrogate in it") from None
    return str(path)


def adopt(settings: Settings, made: Path | None, folder: Path) -> Settings:
    """The settings after data that were written into `made` have become files of the run in a folder."""
    moved = {}
    for name, value in settings.data:
        if made is not None and isinstance(value, str) and Path(value).parent == made:
            path = folder.resolve() / GIVEN / Path(value).name
            with atomic.told(path):
                path.parent.mkdir(exist_ok=True)
                with Path(value).open("rb") as file, atomic.writing(path) as copy:
                    shutil.copyfileobj(file, copy)
            moved[name] = str(path)
    return settings.model_copy(update={"data": settings.data.model_copy(update=moved)})


def choose_task(tree: dict[str, Any], task: str, data: Sequence[str], valid: Sequence[str]) -> dict[str, Any]:
    """The task, which follows from the data where nobody says one, and the settings of where its data are.

    Errors: `UserError` where the files are not those of a task, or where nobody says that they are text and they do
    not look like it.
    """
    if task != "auto" and task not in TASKS:
        expected = "auto or " + " or ".join(TASKS)
        raise UserError(
            "--task", expected=expected, got=repr(task), remedy=suggestion(called(task), TASKS), exit_code=2
        )
    if task != "auto":
        tree["task"] = task
    elif "task" not in tree:
        tree["task"] = recognise(data, valid).name
    return TASKS[tree["task"]].files(data, valid) if tree["task"] in TASKS else {}


def settings_tree(
    tree: Mapping[str, Any], task: str, data: Sequence[str], valid: Sequence[str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """A tree as `configuration.build` takes it: the task and the places of its data, then settings by name."""
    tree = dict(tree)
    files = choose_task(tree, task, data, valid)
    tree["data"] = (tree.get("data") or {}) | {name: file for name, file in files.items() if file is not None}
    return configuration.assign(tree, values)
