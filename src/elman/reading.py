"""Files that elman wrote, read back: checked to have the type that they should have, or refused in one line.

The contents of a file are believed only after their type is known, and nothing that is read becomes a path, a class or
a command. Files may be damaged, cut short or edited by hand, and a path may lead to no file at all.
"""

from __future__ import annotations

import reprlib
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_origin

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from elman.errors import UserError

T = TypeVar("T")
Count = Annotated[int, Field(ge=0, lt=1 << 53)]  # a number of things, which JSON holds exactly
DEEPEST = 20  # levels of nesting in YAML; settings have three


class Unreadable(UserError):
    """A path leads to no file, or to a file whose contents are not what they should be."""


class Missing(Unreadable):
    """There is nothing at a path."""


def check_file(path: Path, *, remedy: str = "") -> None:
    """Check that a path leads to a file: opening a named pipe would wait for ever.

    Raises `Missing` where there is nothing, and `Unreadable` where there is a folder, a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise Missing(f"{path} is missing", remedy=remedy) from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot read {path}: {_reason(error)}", remedy=remedy) from None
    if not stat.S_ISREG(mode):
        got = "a folder" if stat.S_ISDIR(mode) else "a device or pipe"
        raise Unreadable(f"{path}", expected="a file", got=got, remedy=remedy)


def read_text(path: Path, *, remedy: str = "") -> str:
    """The UTF-8 text of a file. Raises `Missing` or `Unreadable`."""
    check_file(path, remedy=remedy)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} is damaged ({_reason(error)})", remedy=remedy) from None


def read_json(path: Path, kind: type[T], *, remedy: str = "") -> T:
    """The value in a JSON file, as a `kind`: a dataclass, a `dict[str, Any]`, or another type that pydantic knows.

    Types are taken strictly ("3" is no number); keys that a dataclass does not name are passed over. Raises `Missing`
    where there is no file, and `Unreadable` where it holds no JSON, or a value of another kind; the message says where.
    """
    return parse_json(read_text(path, remedy=remedy), kind, f"{path}", remedy=remedy)


def read_json_lines(path: Path, kind: type[T], *, remedy: str = "") -> Iterator[T]:
    """A `kind` from each line of a file, as `read_json`; a last line that a kill cut short is left out."""
    check_file(path, remedy=remedy)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield parse_json(line, kind, f"{path}, line {number},", remedy=remedy)
    except OSError as error:
        raise Unreadable(f"cannot read {path}: {_reason(error)}", remedy=remedy) from None


def parse_json(text: str | bytes, kind: type[T], where: str, *, remedy: str = "") -> T:
    """A `kind` from JSON text. Raises `Unreadable`, whose message begins with `where`, a name of the text.

    >>> parse_json('{"threads": 2}', dict[str, int], "env.json")
    {'threads': 2}
    >>> parse_json('{"threads": {}}', dict[str, int], "env.json")
    Traceback (most recent call last):
    elman.reading.Unreadable: env.json is damaged (threads: Input should be a valid integer)
    """
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_json(text, strict=True))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        complaint = f"{place}: {first['msg']}" if place else first["msg"]
        raise Unreadable(f"{where} is damaged ({complaint})", remedy=remedy) from None


def check_type(value: object, kind: Any, name: str) -> None:
    """Check that a value is of a type, as an annotation spells it. Raises `UserError`, which begins with the name.

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
        raise UserError(name, expected=expected, got=reprlib.repr(value)) from None


def parse_yaml(text: str) -> Any:
    """A YAML text as plain values, of a few levels and without aliases, which could make a small file huge.

    Raises `ValueError` with a message of one line for any other text.
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


def place_of(error: UnicodeDecodeError) -> str:
    r"""Where bytes are no UTF-8 text, and why.

    >>> try:
    ...     b"a\n\xff".decode()
    ... except UnicodeDecodeError as error:
    ...     print(place_of(error))
    line 2, byte 2 (invalid start byte)
    """
    line = error.object.count(b"\n", 0, error.start) + 1
    return f"line {line}, byte {error.start} ({error.reason})"


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text: {place_of(error)}"
    return (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())
