"""Journals of a run: lines of JSON that a resumed run takes up where its checkpoint left them.

`metrics.jsonl` holds only what the seed and the data decide, so that a run which was killed and resumed leaves the
same bytes as one that was not. What the clock decides goes to `timing.jsonl`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Required, cast

from typing_extensions import TypedDict  # pydantic needs it until Python 3.12

from elman.atomic import told, write_bytes
from elman.reading import check_file, read_json_lines
from elman.strict_json import dumps


class Record(TypedDict, total=False):
    """A line of `metrics.jsonl`: a step's, or a validation's. Numbers that are not finite are None."""

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
    """An append-only file of JSON lines whose tail can be taken back."""

    def __init__(self, path: Path, keep: int | None = None) -> None:
        """Open the journal after its first `keep` bytes; None keeps all its whole lines.

        What a killed run wrote after its checkpoint goes, for the resumed one will write it again.
        """
        self.path = path
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                check_file(path)
            if path.is_symlink():  # what it points to is not to be cut and added to
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
        """Bring everything written so far onto the disk; returns how many bytes that is."""
        with told(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
            return self.file.tell()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        with told(self.path):
            self.file.close()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The records of `metrics.jsonl`, their numbers checked; a last line cut short by a kill is left out.

    Raises:
        UserError: no such file, or a line that is damaged; it says which.
    """
    for record in read_json_lines(path, Record):
        yield cast(dict[str, Any], record)


def read_timing(path: Path) -> Iterator[dict[str, float]]:
    """The records of `timing.jsonl`, as `read`."""
    yield from read_json_lines(path, dict[str, float])
