"""What a person asks for: the task and the settings of a training, and the run that it begins from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from elman.errors import UserError, suggestion
from elman.tasks import TASKS, configuration, recognise
from elman.tasks.configuration import called
from elman.tasks.exchange import Say, Trained
from elman.tasks.task import Task


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
