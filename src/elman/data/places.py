"""What the records of a file are called where an error names one."""

from __future__ import annotations

from pathlib import Path

MEMORY = "elman-memory-"  # how the name of a temporary folder for data in memory begins


def unit_of(path: Path) -> str:
    """Such as a line; data in memory, such as a frame, have rows where their file of JSON has lines."""
    return "row" if path.parent.name.startswith(MEMORY) and path.suffix == ".jsonl" else "line"


def record_place(path: Path, number: int) -> str:
    """The file and the number of a record, for the beginning of an error."""
    return f"{path}, {unit_of(path)} {number}"
