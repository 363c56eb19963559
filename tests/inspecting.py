"""A run looked at as `elman inspect` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from elman import runs
from elman.inspection import Inspection


def inspect(
    run: str | Path,
    data: str | None = None,
    *,
    parts: Sequence[str] = (),
    progress: Callable[[str, float], None] = lambda name, done: None,
) -> Inspection:
    """All parts, or some, of a run that reads data, or what it was validated on."""
    loaded = runs.load(run)
    return loaded.task.inspect(loaded, [] if data is None else [data], parts=parts, progress=progress)
