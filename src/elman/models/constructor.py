"""The constructors of the models, which take and refuse values as their configurations say."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError
from torch import nn

from elman.cells import CELLS
from elman.errors import UserError, nearest
from elman.models.configuration import C, resolve
from elman.reading import check_type
from elman.settings import Section, complaint

Constructor = TypeVar("Constructor", bound=Callable[..., None])


def spelled_by(configuration: type[Section]) -> Callable[[Constructor], Constructor]:
    """Give a constructor that ends with `**settings` a signature in which every setting has its name and default."""
    settings = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
        for name, field in configuration.model_fields.items()
    ]

    def spell(constructor: Constructor) -> Constructor:
        signature = inspect.signature(constructor)
        *given, _ = signature.parameters.values()
        constructor.__signature__ = signature.replace(parameters=[*given, *settings])  # type: ignore[attr-defined]
        return constructor

    return spell


def configure(model: nn.Module, kind: str, configuration: type[C], values: Mapping[str, Any]) -> C:
    """Validate `values`, with defaults for the others, as `model.settings`; every setting becomes an attribute too.

    Raises `UserError` for a value out of its range or of another type, and for a setting that the model does not have.
    """
    fields = configuration.model_fields
    check_names(values, fields, kind)
    given = {name: plain(values.get(name, field.default)) for name, field in fields.items()}
    try:
        settings = resolve(configuration.model_validate(given, strict=True))
    except ValidationError as error:
        raise complaint(error) from None
    vars(model).update(settings, kind=kind, settings=settings)
    return settings


def check_names(given: Iterable[str], known: Iterable[str], kind: str) -> None:
    """Raise `UserError` for the first name that is not known."""
    for name in given:
        if name not in known:
            raise UserError(f"{name}: no setting of the model {kind!r}", remedy=nearest(name, known))


def checked(value: Any, kind: type, name: str) -> Any:
    """An argument that is no setting, as a plain value. Raises `UserError` where its type is another."""
    value = plain(value)
    check_type(value, kind, name)
    return value


def checked_cell(name: str) -> str:
    """The name of a recurrent cell. Raises `UserError` for any other name."""
    if name not in CELLS:
        raise UserError("cell", expected="a recurrent cell", got=repr(name), remedy=nearest(name, CELLS))
    return name


def plain(value: Any) -> Any:
    """A number of another library as Python's own, which JSON can hold; any other value as it is."""
    if isinstance(value, np.generic):
        value = value.item()
    try:
        return value if isinstance(value, bool) else operator.index(value)
    except TypeError:  # the value is no whole number
        return value
