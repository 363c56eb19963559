"""Files read back: of the right type, or one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from elman import reading
from elman.errors import UserError


@dataclass(frozen=True)
class Facts:
    threads: int
    names: list[str]
    rate: float = 1.0


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text('{"threads": 2, "names": ["é"], "more": {}}')
    assert reading.read_json(path, Facts) == Facts(2, ["é"])
    link = tmp_path / "link"
    link.symlink_to(path)
    assert reading.read_json(link, Facts).threads == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Invalid JSON"),
        ("{", "Invalid JSON"),
        ("[" * 99999, "recursion limit"),
        ("[]", "is damaged"),
        ('{"threads": "2", "names": []}', r"threads: Input should be a valid integer"),
        ('{"threads": {}, "names": []}', r"threads: Input should be a valid integer"),
        ('{"threads": 2.5, "names": []}', r"threads: Input should be a valid integer"),
        ('{"threads": 2, "names": [3]}', r"names.0: Input should be a valid string"),
        ('{"threads": 2}', r"names: Field required"),
        (b"\xff", "is damaged"),
    ],
)
def test_what_is_damaged(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(reading.Unreadable, match=message) as error:
        reading.read_json(path, Facts, remedy="restore it")
    assert str(error.value).startswith(f"{path} is damaged")
    assert str(error.value).endswith("; restore it")
    assert "\n" not in str(error.value)


PLACES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "below a file": lambda path: path.parent.rmdir() or path.parent.touch(),
}


@pytest.mark.parametrize("make", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(
    "read",
    [
        lambda path: reading.read_text(path),
        lambda path: reading.read_json(path, Facts),
        lambda path: list(reading.read_json_lines(path, Facts)),
    ],
)
def test_what_is_no_file(tmp_path: Path, make: Callable[[Path], object], read: Callable[[Path], object]) -> None:
    path = tmp_path / "folder" / "facts.json"
    path.parent.mkdir()
    make(path)
    with pytest.raises(reading.Unreadable):  # and does not wait for the other end of a pipe
        read(path)


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a": ')
    assert list(reading.read_json_lines(path, dict[str, int])) == [{"a": 1}, {"a": 2}]
    path.write_text('{"a": 1}\n{"a": {}}\n')
    lines = reading.read_json_lines(path, dict[str, int])
    assert next(lines) == {"a": 1}
    with pytest.raises(reading.Unreadable, match=r"lines.jsonl, line 2, is damaged \(a: "):
        next(lines)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=9,
)


@given(VALUES)
def test_yaml_of_plain_values(value: Any) -> None:
    assert reading.parse_yaml(yaml.safe_dump(value)) == value


@given(st.text(st.sampled_from("a:[]{}&*!|>-'\"\n 0x1_.e%@`#,?~"), max_size=30))
def test_yaml_of_anything_is_values_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        reading.parse_yaml(text)


def test_types() -> None:
    reading.check_type(3, float, "rate")
    for value, kind in [(True, int), ("3", int), (3.0, int), ([1], list[str]), ({}, float)]:
        with pytest.raises(UserError, match="rate: expected"):
            reading.check_type(value, kind, "rate")
