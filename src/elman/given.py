"""What a person gives: data and settings, and the run that a training goes on with or begins from."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from elman import atomic, distributed, reading, run_folders
from elman.data.frames import plain
from elman.data.sources import EVERY_NAME
from elman.distributed import Ranks
from elman.errors import UserError, suggestion
from elman.tasks import TASKS, configuration, recognise
from elman.tasks.configuration import GIVEN, IMPORTED, MEMORY, OWN, Settings, called
from elman.tasks.exchange import Say, Trained
from elman.tasks.task import Task

LONGEST_NAME = 120  # characters: a longer text is no slip in the name of a file
DEFAULT_BUDGET = {"amount": 120.0, "unit": "seconds"}
VOCABULARY = ("joint", "min_count", "tokenizer", "vocab_size")  # settings of data that make another vocabulary


# Data


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
    got = " and ".join(type(each).__name__ for each in given) or "nothing"
    raise UserError(name, expected=expected if task == "auto" else f"data for {task}", got=got, exit_code=2)


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
    return _with_data(settings, moved)


def _with_data(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    return settings.model_copy(update={"data": settings.data.model_copy(update=changes)})


# Settings


def choose_task(
    name: str,
    tree: Mapping[str, Any],
    data: Sequence[str],
    valid: Sequence[str],
    say: Say = lambda line: None,
    settings: Iterable[str] = (),
) -> Task:
    """The task that a person names, in the argument or in the tree; where the name is "auto", the data decide.

    `settings` are the names, or the assignments, of those that a person gave besides the tree, which decide where the
    data do not. `say` is told which task it is, and why.

    Raises:
        UserError: there is no such task, or the data look like those of no task.
    """
    if name != "auto" and name not in TASKS:
        expected, remedy = "auto or " + " or ".join(TASKS), suggestion(called(name), TASKS)
        raise UserError("task", expected=expected, got=repr(name), remedy=remedy, exit_code=2)
    named = tree.get("task") if name == "auto" else name
    if named is not None:
        return configuration.find_task(named)
    given = [*(tree.get("data") or ()), *(each.partition("=")[0].strip() for each in settings)]
    recognition = recognise(data, valid, given)
    say(str(recognition))
    return recognition.task


def task_name(name: str, tree: Mapping[str, Any], start: Trained | None, resumed: Path | None) -> str:
    """The task that a person or a run names, or "auto"; the arguments are as those of `settings_tree`."""
    named = tree.get("task") if name == "auto" else name
    if named is None and start is not None:
        named = start.task.name
    if named is None and resumed is not None and (resumed / "config.yaml").exists():
        named = configuration.read_yaml(resumed / "config.yaml").get("task")
    return named or "auto"


def settings_tree(
    tree: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    task: str,
    data: Sequence[str],
    valid: Sequence[str],
    start: Trained | None,
    resumed: Path | None,
    say: Say = lambda line: None,
    settings: Iterable[str] = (),
) -> dict[str, Any]:
    """A tree as `configuration.build` takes it: settings, the task, and the places of the data.

    Args:
        tree: settings as `config.yaml` has them.
        values: further settings by name.
        task: the name of the task, or "auto".
        data, valid: the places of the data.
        start: the run that the training begins from, whose task, kind and sizes of the model the tree takes.
        resumed: the folder of the run that the training goes on with, whose task and kind stand where none is given.
        say: told which task it is, and why, where nobody names one.
        settings: the names of settings that are given later, which decide of the task as those of `values` do.

    Raises:
        UserError: an unknown setting or task, or another task or kind than that of `start`.
    """
    if resumed is not None and (resumed / "config.yaml").exists():
        stored = configuration.read_yaml(resumed / "config.yaml")
        tree = {name: stored[name] for name in ("task", "kind") if name in stored} | dict(tree)
    if start is not None:
        if task == "auto" and "task" not in tree and start.task.name == configuration.DEFAULT_TASK:
            _check_meant(start, data, valid)
        tree = _begun_from(start, tree, task)
    further = values.get("data")
    names = [*values, *(further if isinstance(further, Mapping) else ()), *settings]
    chosen = choose_task(task, tree, data, valid, say, names)
    files = {name: file for name, file in chosen.files(data, valid).items() if file is not None}
    return configuration.assign({**tree, "task": chosen.name, "data": (tree.get("data") or {}) | files}, values)


def _check_meant(start: Trained, data: Sequence[str], valid: Sequence[str]) -> None:
    """Raise `UserError` where data look like another task's than that of `start`, which takes any text."""
    own = start.task.name
    try:
        found = recognise(data, valid)
    except UserError:  # what no task knows is text
        return
    if found.task.name != own:
        what = f"{start.path} is a run of {own}, and the data look like {found.task.name}: {found.reason}"
        raise UserError(what, remedy=f"--task {own} reads them as text", exit_code=2)


def _begun_from(start: Trained, tree: Mapping[str, Any], task: str) -> dict[str, Any]:
    model = start.config["model"]
    own, asked = {"task": start.task.name, "kind": model["model"]}, dict(tree)
    if task != "auto":
        asked["task"] = task
    for name, what in (("task", "task"), ("kind", "model")):
        if asked.get(name, own[name]) != own[name]:
            raise UserError(f"{start.path} is a run of another {what}", expected=own[name], got=asked[name])
    fields = configuration.sections(start.task, own["kind"])["model"].model_fields
    sizes = {name: value for name, value in model.items() if name in fields}
    return asked | own | {"model": sizes | (asked.get("model") or {})}


# Runs


@dataclass(frozen=True)
class Began:
    """The part of `env.json` that a resumed training reads."""

    threads: int
    processes: int = 1
    launch: str | None = None
    attempt: str | None = None


def began_earlier(folder: Path, ranks: Ranks) -> bool:
    """Whether the run in a folder was begun in an earlier attempt of the launch that has started these processes."""
    if ranks.launch is None:
        return False
    try:
        began = reading.read_json(folder / "env.json", Began)
    except UserError:
        return False
    return began.launch == ranks.launch and began.attempt != ranks.attempt


def settle(
    tree: Mapping[str, Any], folder: Path, *, resume: bool, overwrite: bool, start: Trained | None, own: object
) -> tuple[Settings, bool]:
    """The settings of a training, and whether a run goes on. Whatever can be checked without writing is checked.

    Arguments and errors are those of `fitting.prepare`.
    """
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other", exit_code=2)
    going_on = resume and (folder / "config.yaml").exists()
    if going_on:
        settings = _agreed(configuration.read_settings(folder), tree, folder, start)
    else:
        # A config.yaml of another run may be used with another text, and does not begin where that run began.
        data = {key: value for key, value in (tree.get("data") or {}).items() if key != "fingerprint"}
        begun = {"data": data, "start": None if start is None else str(start.path)}
        settings = configuration.build({"budget": DEFAULT_BUDGET, **tree, **begun})
        run_folders.check_place(folder, overwrite=overwrite)
    if settings.kind == OWN and own is None and (going_on or start is None):
        what = "a model of one's own is given in Python"
        raise UserError(what, remedy="elman.fit(data, model=...)", exit_code=2)
    if settings.train.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: torch sees no CUDA device here", remedy="leave it out, or --set device=cpu")
    TASKS[settings.task].check(settings)
    return settings, going_on


def _agreed(stored: Settings, tree: Mapping[str, Any], folder: Path, start: Trained | None) -> Settings:
    """The settings of the run, with the budget and the places of the data that are given now.

    Raises:
        UserError: another setting is given than that of the run.
    """
    tree = dict(tree)
    if stored.kind == IMPORTED:  # the layers have no default
        tree["model"] = stored.model.model_dump() | (tree.get("model") or {})
    asked = configuration.build({"budget": stored.budget, "task": stored.task, "kind": stored.kind, **tree})
    for name, what in (("task", "task"), ("kind", "model")):
        if getattr(asked, name) != getattr(stored, name):
            expected, got = getattr(stored, name), getattr(asked, name)
            raise UserError(f"{folder} is a run of another {what}", expected=expected, got=got)
    if start is not None and (stored.start is None or Path(stored.start).resolve() != start.path.resolve()):
        what, got = f"{folder} was made with another start", start.path
        raise UserError(what, expected=stored.start, got=got, remedy="leave it out to go on, or train a new run")
    # The same data may lie in another place now, and in one file instead of two: the fingerprint knows it.
    places = TASKS[stored.task].places
    moving = {*places, *(name for others in places.values() for name in others), "fingerprint"}
    for section in ("data", "model", "train"):
        old, new = getattr(stored, section), getattr(asked, section)
        for key, value in new:
            if key in new.model_fields_set and key not in moving and value != getattr(old, key):
                what, remedy = f"{folder} was made with another {key}", "leave it out to go on, or train a new run"
                raise UserError(what, expected=getattr(old, key), got=value, remedy=remedy)
    moved = [key for first in places if first in asked.data.model_fields_set for key in (first, *places[first])]
    changed = _with_data(stored, {key: getattr(asked.data, key) for key in moved})
    return changed.model_copy(update={"budget": asked.budget})


def check_vocabulary(settings: Settings, codecs: Mapping[str, Any]) -> Settings:
    """The settings with the tokenizer of the run that the training begins from.

    Raises:
        UserError: the settings ask for another vocabulary.
    """
    data, defaults = settings.data, type(settings.data).model_fields
    kind = next((codec.kind for codec in codecs.values() if hasattr(codec, "kind")), None)
    if kind is None:
        return settings
    for name in VOCABULARY:
        if name in data.model_fields_set:
            value, usual = getattr(data, name), (kind, "auto") if name == "tokenizer" else (defaults[name].default,)
            if value not in usual:
                what = f"{name}: the vocabulary is that of the run {settings.start}"
                raise UserError(what, got=value, remedy="leave it out, or train a new model", exit_code=2)
    return _with_data(settings, {"tokenizer": kind})


def compare_threads(folder: Path, say: Say) -> None:
    """Warn where a run goes on with other numbers of threads or processes, on which the order of sums depends."""
    try:
        began = reading.read_json(folder / "env.json", Began)
    except UserError:
        return
    now = Began(torch.get_num_threads(), distributed.launched())
    for what, before, after, remedy in (
        ("processes", began.processes, now.processes, f"--processes {began.processes}"),
        ("threads", began.threads, now.threads, f"OMP_NUM_THREADS={began.threads}"),
    ):
        if before != after:
            say(
                f"warning: the run began with {before} {what} and goes on with {after}: "
                f"it will not end bit by bit as it would have ({remedy})"
            )
