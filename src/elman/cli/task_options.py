"""The options of a command that tasks declare: one for each field of the settings that a task has for the command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import annotated_types
import typer
from pydantic.fields import FieldInfo

from elman.cli.options import finite
from elman.tasks import TASKS


def with_task_options(command: str, function: Callable[..., None]) -> Callable[..., None]:
    """A command's function with every option that a task declares for the command; it has an argument `options`.

    That is a dict of the options that were given, by the names of their fields; `Task.options_of` checks them when it
    is known which task it is.
    """
    fields = _fields(command)

    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in fields}
        function(**arguments, options={name: value for name, value in given.items() if value is not None})

    hints = get_type_hints(function, include_extras=True)
    own = [p.replace(annotation=hints[name]) for name, p in _parameters(function) if name != "options"]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(name, *field))
        for name, field in fields.items()
    ]
    required = [p for p in own if p.default is inspect.Parameter.empty]
    others = [p for p in own if p.default is not inspect.Parameter.empty]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*required, *others)] + options
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _parameters(function: Callable[..., None]) -> list[tuple[str, inspect.Parameter]]:
    return list(inspect.signature(function).parameters.items())


def _fields(command: str) -> dict[str, tuple[FieldInfo, str]]:
    """The fields that tasks have for a command, and whose they are where not every task has them."""
    able = [task for task in TASKS.values() if command in task.options]
    fields = {name: field for task in able for name, field in task.options[command].model_fields.items()}
    owners = {name: [task.name for task in able if name in task.options[command].model_fields] for name in fields}
    return {
        name: (field, "" if len(owners[name]) == len(able) else f"{' and '.join(owners[name]).capitalize()}: ")
        for name, field in fields.items()
    }


def _option(name: str, field: FieldInfo, whose: str) -> Any:
    """As typer has it: None where it is not given."""
    kinds = [kind for kind in _kinds(field.annotation) if kind is not type(None)]
    kind = kinds[0]
    least, most = _bounds(field)
    default = "" if field.default in (None, False, "") else f" Default {field.default}."
    text = whose + (field.description or "") + default
    option = f"--{name.replace('_', '-')}"
    if kind is bool:
        return Annotated[bool | None, typer.Option(option, help=text)]
    if kind is float:
        return Annotated[float | None, typer.Option(option, help=text, min=least, max=most, callback=finite)]
    return Annotated[kind | None, typer.Option(option, help=text, min=least, max=most)]


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _bounds(field: FieldInfo) -> tuple[Any, Any]:
    """The least and the most; whole numbers where the field has whole numbers."""
    least = most = None
    for rule in field.metadata:
        if isinstance(rule, annotated_types.Ge):
            least = rule.ge
        elif isinstance(rule, annotated_types.Le):
            most = rule.le
        elif isinstance(rule, annotated_types.Lt):
            most = rule.lt - 1  # type: ignore[operator]
    return least, most
