"""Names that a package offers and imports only when somebody asks for them: torch takes seconds to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package, from the place of each name; "" where the name is a module's own.

    >>> lazily("elman", {"UserError": ".errors"})("UserError")
    <class 'elman.errors.UserError'>
    """

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(places[name] or f".{name}", package)
        return getattr(module, name) if places[name] else module

    return find
