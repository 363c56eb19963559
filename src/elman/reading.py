"""Files that elman wrote, read back: of the type that they should have, or refused in one line.

What a file says is believed only after its type is known, and nothing that is read becomes a path, a class or a
command. Files may be damaged, cut short, edited by hand, or be something else than a file.
"""

from __future__ import annotations

import reprlib
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

import yaml
from pydantic import TypeAdapter, ValidationError

from elman.errors import UserError

T = TypeVar("T")
DEEPEST = 20  # levels of nesting in YAML; settings have three


class Unreadable(UserError):
    """A file that is not there, is no file, or does not hold what it should."""


class Missing(Unreadable):
    """There is nothing at this path."""


def check_file(path: Path, *, remedy: str = "") -> None:
    """See that a path is that of a file, or of a link to one: opening a named pipe would wait for ever.

    Raises:
        Missing: there is nothing, or the link leads nowhere.
        Unreadable: there is a folder, a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise Missing(f"{path} is missing", remedy=remedy) from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot read {path}: {_reason(error)}", remedy=remedy) from None
    if not stat.S_ISREG(mode):
        raise Unreadable(
            f"{path}", expected="a file", got="a folder" if stat.S_ISDIR(mode) else "a device or pipe", remedy=remedy
        )


def read_text(path: Path, *, remedy: str = "") -> str:
    """The UTF-8 text of a file. Raises `Missing` or `Unreadable`."""
    check_file(path, remedy=remedy)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} is damaged ({_reason(error)})", remedy=remedy) from None


def read_json(path: Path, kind: type[T], *, remedy: str = "") -> T:
    """What a JSON file holds, as a `kind`: a dataclass, a `dict[str, Any]`, whatever pydantic knows.

    Types are taken strictly ("3" is no number); what a dataclass does not name is passed over.

    Raises:
        Missing: there is no such file.
        Unreadable: it is no JSON, or not of this kind; the line says where.
    """
    return parse_json(read_text(path, remedy=remedy), kind, f"{path}", remedy=remedy)


def read_json_lines(path: Path, kind: type[T], *, remedy: str = "") -> Iterator[T]:
    """A `kind` from each line of a file; a last line cut short by a kill is left out.

    Raises:
        Missing: there is no such file.
        Unreadable: a line is no JSON, or not of this kind.
    """
    check_file(path, remedy=remedy)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield parse_json(line, kind, f"{path}, line {number},", remedy=remedy)
    except OSError as error:
        raise Unreadable(f"cannot read {path}: {_reason(error)}", remedy=remedy) from None


def parse_json(text: str | bytes, kind: type[T], where: str, *, remedy: str = "") -> T:
    """A `kind` from JSON text; `where` names the text in the `Unreadable` that is raised where it is none.

    >>> parse_json('{"threads": 2}', dict[str, int], "env.json")
    {'threads': 2}
    >>> parse_json('{"threads": {}}', dict[str, int], "env.json")
    Traceback (most recent call last):
    elman.reading.Unreadable: env.json is damaged (threads: Input should be a valid integer)
    """
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_json(text, strict=True))
    except ValidationError as error:
        raise Unreadable(f"{where} is damaged ({_first(error)})", remedy=remedy) from None


def check_type(value: object, kind: Any, what: str) -> None:
    """See that a value is of a type, as an annotation spells it. Raises `UserError`, which begins with `what`.

    >>> check_type({}, int | None, "hidden_size")
    Traceback (most recent call last):
    elman.errors.UserError: hidden_size: expected int | None, got {}
    """
    try:
        _adapter(kind).validate_python(value, strict=True)
    except ValidationError:
        expected = getattr(kind, "__name__", None) or str(kind).replace("typing.", "")
        if get_origin(kind) is Literal:
            expected = " or ".join(map(str, get_args(kind)))
        raise UserError(what, expected=expected, got=reprlib.repr(value)) from None


def parse_yaml(text: str) -> Any:
    """A YAML text as plain values, of a few levels and without aliases, which could blow a small file up.

    Raises:
        ValueError: it is not YAML, or more than that; the message is one line.
    """
    try:
        values = yaml.load(text, _Loader)
        _check_depth(values)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except (RecursionError, OverflowError, AttributeError, LookupError) as error:  # deep nesting; numbers like 0x
        raise ValueError(_reason(error) or type(error).__name__) from None
    return values


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not understood here")
        return super().compose_node(parent, index)


def _check_depth(values: object, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise RecursionError("too deeply nested")
    if isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            _check_depth(value, depth + 1)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _first(error: ValidationError) -> str:
    """Pydantic's first complaint: where, and what."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())
