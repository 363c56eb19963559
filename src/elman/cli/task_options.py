"""The options of a command that tasks declare: one for each field of the settings that a task has for the command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from elman.cli.options import finite
from elman.settings import Section
from elman.tasks import TASKS


def with_task_options(command: str, function: Callable[..., None]) -> Callable[..., None]:
    """A command's function with every option that a task declares for the command.

    The argument `options` of the function is a dict of the options that were given, by the names of their fields;
    `Task.options_of` checks them when the task is known.
    """
    able = [task for task in TASKS.values() if command in task.options]
    fields: dict[str, dict[str, FieldInfo]] = {}  # by name, those of each task
    for task in able:
        for name, field in task.options[command].model_fields.items():
            fields.setdefault(name, {})[task.name] = field

    options = {
        name: _option(name, list(given.values()), _help(given, everyone=len(given) == len(able)))
        for name, given in fields.items()
    }
    return _with(options, "options", function)


def with_options_of(section: type[Section], argument: str, function: Callable[..., None]) -> Callable[..., None]:
    """A function with an option for each field of a section; its argument of that name is a dict of those given."""
    options = {
        name: _option(name, [field], _help({"": field}, everyone=True)) for name, field in section.model_fields.items()
    }
    return _with(options, argument, function)


def _with(options: Mapping[str, Any], argument: str, function: Callable[..., None]) -> Callable[..., None]:
    """A function whose argument of that name becomes these options, for typer."""

    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in options}
        function(**arguments, **{argument: {name: value for name, value in given.items() if value is not None}})

    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != argument
    ]
    own.sort(key=lambda parameter: parameter.default is not Parameter.empty)  # those without a default come first
    own += [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=option) for name, option in options.items()
    ]
    run.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in own}
    return run


def _help(fields: Mapping[str, FieldInfo], *, everyone: bool) -> str:
    """What an option means for each task, the tasks named unless it means the same for `everyone`."""
    meanings: dict[str, list[str]] = {}
    for task, field in fields.items():
        default = "" if field.default in (None, False, "") else f" Default {field.default}."
        meanings.setdefault((field.description or "") + default, []).append(task)
    if everyone and len(meanings) == 1:
        return next(iter(meanings))
    owners = {text: ", ".join(tasks[:-1]) + " and " * (len(tasks) > 1) + tasks[-1] for text, tasks in meanings.items()}
    return " ".join(f"{whose.capitalize()}: {text}" for text, whose in owners.items())


def _option(name: str, fields: Sequence[FieldInfo], text: str) -> Any:
    """An option as typer declares it, whose value is None where the option is not given.

    Its range holds those of all fields of this name; an open end, and words, are checked by the section of the task.
    """
    kinds = {kind for each in fields for kind in _kinds(each.annotation)}
    kind = kinds.pop() if len(kinds) == 1 else str
    option = f"--{name.replace('_', '-')}"
    if kind is bool:
        return Annotated[bool | None, typer.Option(option, help=text)]
    if kind is str:
        words = [
            str(word) for each in fields if get_origin(each.annotation) is Literal for word in get_args(each.annotation)
        ]
        return Annotated[str | None, typer.Option(option, help=text, metavar="|".join(dict.fromkeys(words)) or None)]
    step = 1 if kind is int else 0
    least = [_bound(each, {Ge: "ge", Gt: "gt"}, step) for each in fields]
    most = [_bound(each, {Le: "le", Lt: "lt"}, -step) for each in fields]
    low, high = None if None in least else min(least), None if None in most else max(most)
    check = finite if kind is float else None
    return Annotated[kind | None, typer.Option(option, help=text, min=low, max=high, callback=check)]


def _kinds(annotation: Any) -> set[Any]:
    """The classes that an annotation's values have, without that of None."""
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    if parts := get_args(annotation):
        return {kind for part in parts for kind in _kinds(part)}
    return {annotation} - {type(None)}


def _bound(field: FieldInfo, rules: Mapping[type, str], step: int) -> Any:
    """A bound of a field's values, where it has one: so many steps inside of an open one."""
    for rule in field.metadata:
        for kind, name in rules.items():
            if isinstance(rule, kind):
                return getattr(rule, name) + (step if kind in (Gt, Lt) else 0)
    return None
