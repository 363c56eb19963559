"""The options of a command that tasks declare: one for each field of the settings that a task has for the command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Annotated, Any, get_args, get_type_hints

import typer
from annotated_types import Ge, Le, Lt
from pydantic.fields import FieldInfo

from elman.cli.options import finite
from elman.tasks import TASKS


def with_task_options(command: str, function: Callable[..., None]) -> Callable[..., None]:
    """A command's function with every option that a task declares for the command.

    The argument `options` of the function is a dict of the options that were given, by the names of their fields;
    `Task.options_of` checks them when the task is known.
    """
    able = [task for task in TASKS.values() if command in task.options]
    fields = {name: field for task in able for name, field in task.options[command].model_fields.items()}

    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in fields}
        function(**arguments, options={name: value for name, value in given.items() if value is not None})

    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "options"
    ]
    own.sort(key=lambda parameter: parameter.default is not Parameter.empty)  # those without a default come first
    for name, field in fields.items():
        owners = [task.name for task in able if name in task.options[command].model_fields]
        whose = "" if len(owners) == len(able) else f"{' and '.join(owners).capitalize()}: "
        own.append(Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=_option(name, field, whose)))
    run.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in own}
    return run


def _option(name: str, field: FieldInfo, whose: str) -> Any:
    """An option as typer declares it, whose value is None where the option is not given."""
    kind = next(kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None))
    default = "" if field.default in (None, False, "") else f" Default {field.default}."
    text, option = whose + (field.description or "") + default, f"--{name.replace('_', '-')}"
    if kind is bool:
        return Annotated[bool | None, typer.Option(option, help=text)]
    least = next((rule.ge for rule in field.metadata if isinstance(rule, Ge)), None)
    most: Any = next((rule.le for rule in field.metadata if isinstance(rule, Le)), None)
    most = next((rule.lt - 1 for rule in field.metadata if isinstance(rule, Lt)), most)  # type: ignore[operator]
    check = finite if kind is float else None
    return Annotated[kind | None, typer.Option(option, help=text, min=least, max=most, callback=check)]  # type: ignore[arg-type]
