"""Completion by a shell: values of options and arguments. Nothing here imports torch, which takes seconds."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from elman import cells
from elman.errors import UserError
from elman.tasks import TASKS, Task, recognise

Completer = Callable[[typer.Context, str], list[str]]
Words = Callable[[], Iterable[str]]

TORCH_CELLS = tuple(name for name, cell in cells.CELLS.items() if cell.torch_layer)  # of `elman bench`
# The modules that define these import torch; a test holds the names equal to theirs.
SHAPES = ("grid", "step")
PASSES = ("inference", "training")
DTYPES = ("float32", "bfloat16")
CLOCKS = ("wall", "cpu")
BACKENDS = ("native", "torch", "scan", "reference")
EXPERIMENTS = (
    "powers", "vanishing", "exploding-and-clipping", "truncation", "elman-1990", "adding", "copying", "temporal-order",
    "gates", "bottleneck", "parallel", "book-or-index", "jsb", "mnist1d",
)  # fmt: skip

KEY = "_ELMAN_COMPLETE_KEY"  # of the environment: the word before the = of the value that bash asks for


def conventions() -> list[str]:
    """The conventions of `elman interop`."""
    from elman.interop.frameworks import CONVENTIONS

    return list(CONVENTIONS)


def runtimes() -> tuple[str, ...]:
    """The runtimes in which an export can be compared with its run."""
    from elman.export.formats import RUNTIMES

    return RUNTIMES


def one_of(words: Words) -> Completer:
    """Completes one word."""
    return lambda ctx, incomplete: list(words())


def several_of(words: Words) -> Completer:
    """Completes the last word of a list with commas, each word once."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        before, comma, _ = incomplete.rpartition(",")
        return [before + comma + word for word in words() if word not in before.split(",")]

    return complete


def tasks() -> list[str]:
    """The tasks that `--task` takes."""
    return ["auto", *TASKS]


def models() -> list[str]:
    """The kinds of models of all tasks."""
    return list(dict.fromkeys(kind for task in TASKS.values() for kind in task.models))


def parts() -> list[str]:
    """The parts of an inspection, of all tasks."""
    return list(dict.fromkeys(part for task in TASKS.values() for part in task.parts))


def matches() -> tuple[str, ...]:
    """The quantities that a comparison can make the same for all models."""
    from elman.compare.plan import Match

    return get_args(Match)


def run_folder(ctx: typer.Context, incomplete: str) -> list[str]:
    """Completes the folder of a run: in this folder, in its folders, or below the path that is written already."""
    trained = (path.parent for deep in ("", "/*") for path in _begun(incomplete, f"*{deep}/config.yaml"))
    imported = (path.parents[1] for deep in ("", "/*") for path in _begun(incomplete, f"*{deep}/model/config.json"))
    return sorted({str(path): None for path in (*trained, *imported)})


def data(ctx: typer.Context, incomplete: str) -> list[str]:
    """Completes a named source or a file. Where no source matches, the shell completes files better by itself."""
    from elman.data.sources import EVERY_NAME

    named = [name for name in EVERY_NAME if name.startswith(incomplete)]
    files = sorted(_begun(incomplete, "*")) if named else []
    return [*named, *(f"{file}/" if file.is_dir() else str(file) for file in files)]


def _begun(incomplete: str, rest: str) -> Iterable[Path]:
    """The paths that begin with an incomplete word and match a pattern after that."""
    folder, slash, name = incomplete.rpartition("/")
    return Path(folder + slash).glob(glob.escape(name) + rest)


def values_of(key: str) -> Completer:
    """Completes a value of a setting of the task's data."""
    return lambda ctx, incomplete: _values(_task(ctx).data.model_fields, key)


def assignment(ctx: typer.Context, incomplete: str) -> list[str]:
    """Completes KEY=VALUE of `--set`: the settings of the task and the models, then the values that can be listed."""
    from elman.tasks.configuration import NOT_SETTABLE, sections

    task = _task(ctx)
    kinds = str(ctx.params.get("model") or ctx.params.get("models") or "").split(",")
    known = [part for kind in kinds if kind in ["", *task.models] for part in sections(task, kind or task.kind).items()]
    fields = {key: field for _, section in known for key, field in section.model_fields.items()}
    if key := os.environ.get(KEY):
        return _values(fields, key)
    key, equals, _ = incomplete.partition("=")
    if equals:
        return [f"{key}={value}" for value in _values(fields, key)]
    dotted = [f"{name}.{key}" for name, section in known for key in section.model_fields]
    keys = dotted if "." in incomplete else fields
    return [f"{key}=" for key in keys if key.rpartition(".")[2] not in NOT_SETTABLE]


def _task(ctx: typer.Context) -> Task:
    """The task that is named or recognised, or else the default task."""
    from elman.tasks.configuration import DEFAULT_TASK

    given = list(ctx.params.get("data") or ctx.args)  # in `args` where the option before the cursor has no value yet
    if (name := ctx.params.get("task")) in TASKS:
        return TASKS[str(name)]
    try:
        return recognise(given).task if given else TASKS[DEFAULT_TASK]
    except UserError:
        return TASKS[DEFAULT_TASK]


def _values(fields: Mapping[str, FieldInfo], key: str) -> list[str]:
    field = fields.get(key.rpartition(".")[2])
    return known_values(field.annotation) if field else []


def known_values(annotation: Any) -> list[str]:
    """The values that a setting of this type can have, where they can be listed.

    >>> known_values(Literal["char", "byte"]), known_values(bool), known_values(int | None)
    (['char', 'byte'], ['true', 'false'], ['null'])
    """
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if get_origin(annotation) in (Union, UnionType):
        return [value for part in get_args(annotation) for value in known_values(part)]
    return {bool: ["true", "false"], type(None): ["null"]}.get(annotation, [])


def join_words(environment: MutableMapping[str, str]) -> None:
    """Put together the words of a command, which bash splits at every = before it asks for a completion.

    >>> asked = {"_ELMAN_COMPLETE": "complete_bash", "COMP_WORDS": "elman train x --set clip = no", "COMP_CWORD": "6"}
    >>> join_words(asked)
    >>> asked["COMP_WORDS"].split(), asked["COMP_CWORD"], asked[KEY]
    (['elman', 'train', 'x', '--set', 'no'], '4', 'clip')
    """
    if environment.get("_ELMAN_COMPLETE") != "complete_bash":
        return
    given = environment.get("COMP_WORDS", "")
    words = given.split("\n") if "\n" in given else given.split()  # typer's script for bash parts them by lines
    words = words[: int(environment.get("COMP_CWORD") or 0) + 1]
    if "=" not in words:
        return
    joined: list[str] = []
    while words:
        word, *words = words
        if words[:1] == ["="]:
            value = words[1] if len(words) > 1 else ""
            words, is_last = words[2:], len(words) <= 2
            if word.startswith("-"):
                joined.append(word)
            elif is_last:
                environment[KEY] = word
            else:
                value = f"{word}={value}"
            word = value
        joined.append(word)
    environment["COMP_WORDS"], environment["COMP_CWORD"] = "\n".join(joined), str(len(joined) - 1)
