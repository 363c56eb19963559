"""Journals of a run: lines of JSON, which a resumed run continues from its checkpoint on.

`metrics.jsonl` holds only numbers that the seed and the data decide, so that a run which was killed and resumed leaves
the same bytes as one that was not. Numbers that the clock decides go to `timing.jsonl`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Required, cast

from typing_extensions import TypedDict  # pydantic needs this one until Python 3.12

from elman.atomic import told, write_bytes
from elman.reading import check_file, read_json_lines
from elman.strict_json import dumps


class Record(TypedDict, total=False):
    """A line of `metrics.jsonl` on a step or a validation. Numbers that are not finite are None."""

    step: Required[int]
    epoch: float
    loss: float | None
    targets: int
    learning_rate: float
    gradient_norm: float | None
    clipped_norm: float | None
    clipped: bool
    skipped: bool
    validation: dict[str, float | None]
    best: float | None


class Journal:
    """An append-only file of JSON lines, opened after its first `keep` bytes; None keeps all its whole lines.

    Lines that a killed run wrote after its checkpoint are cut off, since the resumed run writes them again.
    """

    def __init__(self, path: Path, keep: int | None = None) -> None:
        self.path = path
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                check_file(path)
            if path.is_symlink():  # a copy takes the place of the link, whose target must stay as it is
                write_bytes(path, path.read_bytes() if path.exists() else b"")
            self.file = path.open("ab")
            size = self.file.tell()
            self.file.truncate(path.read_bytes().rfind(b"\n") + 1 if keep is None else min(keep, size))
            self.file.seek(0, os.SEEK_END)

    def write(self, record: dict[str, Any]) -> None:
        """Add a line."""
        with told(self.path):
            self.file.write(dumps(record).encode() + b"\n")

    def sync(self) -> int:
        """Bring all lines onto the disk, and return the size of the file in bytes."""
        with told(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
            return self.file.tell()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        with told(self.path):
            self.file.close()


class Unwritten(Journal):
    """The journal of a process that does not write: rank 0 does."""

    def __init__(self, path: Path, keep: int | None = None) -> None:
        pass

    def write(self, record: dict[str, Any]) -> None:  # noqa: D102
        pass

    def sync(self) -> int:  # noqa: D102
        return 0

    def __exit__(self, *error: object) -> None:
        pass


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The checked records of `metrics.jsonl`; a last line that a kill cut short is left out.

    Raises `UserError` where there is no such file, or a line is damaged.
    """
    yield from cast(Iterator[dict[str, Any]], read_json_lines(path, Record))


def read_timing(path: Path) -> Iterator[dict[str, float]]:
    """The records of `timing.jsonl`, as `read`."""
    yield from read_json_lines(path, dict[str, float])
