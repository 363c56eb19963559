"""JSON files that somebody else may have written: bounded, and of the type that is expected."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from elman_runner.errors import RunnerError

LARGEST = 1 << 28  # bytes of a file


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file. Raises `RunnerError`."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise RunnerError(f"{path}: expected a file")
        if found.st_size > LARGEST:
            raise RunnerError(f"{path}: expected at most {LARGEST:,} bytes, got {found.st_size:,}")
        value = json.loads(path.read_bytes().decode(), parse_constant=_refuse)
    except FileNotFoundError:
        raise RunnerError(f"{path} is missing") from None
    except OSError as error:
        raise RunnerError(f"cannot read {path}: {error.strerror}") from None
    except RunnerError:
        raise
    except (ValueError, RecursionError) as error:
        raise RunnerError(f"{path} is damaged ({type(error).__name__})") from None
    return take({"": value}, "", dict, f"{path}")


def _refuse(name: str) -> Any:
    raise ValueError(name)


def take(data: Mapping[str, Any], name: str, kind: Any, where: str) -> Any:
    """The value under a name, of a type such as `int`, `list[str]`, `dict[str, float]` or `int | None`.

    Whole numbers are numbers too, booleans are none, and numbers are finite. Raises `RunnerError`.
    """
    value = data.get(name)
    if not fits(value, kind):
        expected = str(kind) if get_origin(kind) or isinstance(kind, UnionType) else kind.__name__
        raise RunnerError(f"{where} is damaged ({name or 'the whole'}: expected {expected}, got {value!r:.60})")
    return value


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type."""
    if isinstance(kind, UnionType):
        return any(fits(value, each) for each in get_args(kind))
    if kind is Any:
        return True
    outer, inner = get_origin(kind), get_args(kind)
    if outer is list:
        return isinstance(value, list) and all(fits(each, inner[0]) for each in value)
    if outer is dict:
        return isinstance(value, dict) and all(fits(each, inner[1]) for each in value.values())
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53
    return isinstance(value, kind)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
