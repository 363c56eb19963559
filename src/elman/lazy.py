"""Names of a package and members of a class that are imported only when somebody asks for them: torch takes seconds."""

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


class Deferred:
    """A member of a class that is imported when it is used; a relative place is beside the module of the class."""

    def __init__(self, place: str) -> None:
        self.module, _, self.name = place.rpartition(".")

    def __set_name__(self, owner: type, name: str) -> None:
        """Keep the module of the class that has the member: a subclass may be in another."""
        self.package = owner.__module__

    def __get__(self, instance: object, owner: type) -> Any:
        """What the place names; on the class itself nothing is imported."""
        return self if instance is None else getattr(import_module(self.module, self.package), self.name)


def deferred(place: str) -> Any:
    """A member of a class that is imported when it is used: "MODULE.NAME", a leading dot for the folder of the class.

    A function takes the arguments of the method that it implements, without `self`.
    """
    return Deferred(place)
