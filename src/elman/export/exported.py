"""What an export wrote, and how the files get to their places: all of them or none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from elman import atomic


class Check(NamedTuple):
    """The comparison of a written model with the run's in one runtime."""

    runtime: str
    version: str
    difference: float  # the greatest between two outputs or states, divided by the value where that is above 1
    outputs: int  # numbers that were compared
    loss: float | None = None  # of the run's model, on its own validation data
    runtime_loss: float | None = None

    def __str__(self) -> str:
        losses = "" if self.loss is None else f", loss {self.runtime_loss:.6f} for the run's {self.loss:.6f}"
        return f"{self.runtime} {self.version}: differs by at most {self.difference:.1e}{losses}"


@dataclass(frozen=True)
class Exported:
    """The files of an export, what was folded or must be known, and the comparisons with the run's model."""

    format: str
    path: Path
    files: Mapping[str, int]  # names and sizes in bytes
    notes: Sequence[str] = ()
    checks: Sequence[Check] = ()

    @property
    def report(self) -> dict[str, Any]:
        """Plain values."""
        checks = [check._asdict() for check in self.checks]
        return {**asdict(self), "path": str(self.path), "checks": checks}

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Names and values for people."""
        files = [(name, f"{size:,} bytes") for name, size in self.files.items()]
        checks = [("checked", str(check)) for check in self.checks] or [("checked", "nothing")]
        return [*files, *checks, *(("note", note) for note in self.notes)]


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write all files, or none: each is whole beside its place before the first takes its place.

    Raises `UserError` where a disk is full or a place is not writable.
    """
    first = next(iter(files))
    with atomic.told(first), contextlib.ExitStack() as stack:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(atomic.writing(path)).write(content)
