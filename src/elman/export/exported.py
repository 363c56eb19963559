"""What an export makes, and how the files get to their places: all of them or none."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from elman import atomic
from elman.errors import UserError
from elman.wording import percent


class Check(NamedTuple):
    """The comparison of a written model with the run's in one runtime."""

    runtime: str
    version: str
    difference: float  # the greatest of two numbers of outputs and states, divided by the number where that is above 1
    numbers: int  # how many were compared
    loss: float | None = None  # of the run's model, on its own validation data
    runtime_loss: float | None = None
    failure: str = ""  # why the runtime does not compute the model

    @property
    def is_right(self) -> bool:
        """Whether the runtime computes the model."""
        return not self.failure

    def __str__(self) -> str:
        if math.isnan(self.difference):
            return f"{self.runtime} {self.version} cannot run this model: {self.failure}"
        losses = "" if self.loss is None else f", loss {self.runtime_loss:.6f} for the run's {self.loss:.6f}"
        wrong = f"{self.failure}: " if self.failure else ""
        return f"{self.runtime} {self.version} {wrong}differs by at most {self.difference:.1e}{losses}"


class Quantised(NamedTuple):
    """The graphs with weights of one byte beside those of float32, in onnxruntime, on the inputs of the check."""

    bytes: int
    float32_bytes: int
    loss: float | None  # on the run's validation data; None where no loss was compared, or nothing was run
    float32_loss: float | None
    seconds: float | None  # of the same calls
    float32_seconds: float | None

    def __str__(self) -> str:
        words = [f"{self.bytes:,} bytes for {self.float32_bytes:,} ({self.bytes / self.float32_bytes:.2f})"]
        if self.loss is not None and self.float32_loss is not None:
            change = self.loss / self.float32_loss - 1 if self.float32_loss else math.inf
            words.append(f"loss {self.loss:.4f} for {self.float32_loss:.4f} ({percent(change, 2, signed=True)})")
        if self.seconds and self.float32_seconds:
            words.append(f"{self.float32_seconds / self.seconds:.1f} times as fast in onnxruntime")
        return ", ".join(words)


@dataclass(frozen=True)
class Exported:
    """The files of an export, what was folded or must be known, and the comparisons with the run's model."""

    format: str
    path: Path
    contents: Mapping[Path, bytes]
    notes: Sequence[str] = ()
    checks: Sequence[Check] = ()
    quantised: Quantised | None = None

    @property
    def files(self) -> dict[str, int]:
        """The sizes of the files in bytes, by their paths."""
        return {str(path): len(content) for path, content in self.contents.items()}

    @property
    def report(self) -> dict[str, Any]:
        """Plain values."""
        checks = [check._asdict() for check in self.checks]
        quantised = None if self.quantised is None else self.quantised._asdict()
        own = {"format": self.format, "path": str(self.path), "files": self.files, "notes": list(self.notes)}
        return {**own, "checks": checks, "quantised": quantised}

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Names and values for people."""
        files = [(name, f"{size:,} bytes") for name, size in self.files.items()]
        checks = [("checked" if check.is_right else "warning", str(check)) for check in self.checks]
        quantised = [] if self.quantised is None else [("int8", str(self.quantised))]
        return [*files, *checks, *quantised, *(("note", note) for note in self.notes)]


def check_ending(path: Path, *endings: str) -> None:
    """Raise `UserError` where the name of a file has none of these endings."""
    if path.suffix not in endings:
        expected = " or ".join(f"a name with the ending {ending}" for ending in endings)
        raise UserError(f"{path}", expected=expected, exit_code=2)


def check_free(paths: Iterable[Path], *, overwrite: bool, run: Path) -> None:
    """Refuse places that can take no file, before anything is made for them.

    Raises `UserError` where a folder is in a place, or the place is not writable; where a file is there already and
    `overwrite` is false; and, whatever that says, where the file is one of the `run` that is exported.
    """
    for path in paths:
        with atomic.told(path):
            atomic.check_replaceable(path)
            if path.is_file() or path.is_symlink():
                if run.resolve() in path.resolve().parents:
                    remedy = "choose another place"
                    raise UserError(f"{path} is a file of the run: it is not replaced", remedy=remedy, exit_code=2)
                if not overwrite:
                    remedy = "replace it (--overwrite) or choose another place"
                    raise UserError(f"{path} already exists", remedy=remedy, exit_code=2)
            atomic.check_writable(path)


def write_files(files: Mapping[Path, bytes], *, overwrite: bool, run: Path) -> None:
    """Write all files, or none: each is whole beside its place before the first takes its place.

    Raises `UserError` where a disk is full, or as `check_free`.
    """
    check_free(files, overwrite=overwrite, run=run)
    with atomic.told(next(iter(files))), contextlib.ExitStack() as stack:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(atomic.writing(path)).write(content)
