"""What goes to a person on stderr (see `elman.display`), and to a program on stdout."""

from __future__ import annotations

from typing import Any

from elman.display import Display, clock, say
from elman.strict_json import dumps

__all__ = ["Display", "clock", "print_json", "say"]


def print_json(value: Any, *, ensure_ascii: bool = True) -> None:
    """One line of JSON on stdout, for whoever reads with a program; a number that is not finite is null."""
    print(dumps(value, ensure_ascii=ensure_ascii), flush=True)
