"""The places of a task's data: one file, or two whose lines or rows belong together."""

from __future__ import annotations

from typing import Any

from elman.errors import UserError
from elman.settings import Section
from elman.tasks.exchange import Sources


class OneOrTwoFiles(Section):
    """Where data are: in one file, or in one of inputs and one of what belongs to each of them."""

    source: str = ""
    """The data: a file, a folder where the task takes one, or a named source; of two files, the first. It is the
    argument DATA."""
    target: str | None = None
    """The second of two files, the argument TARGETS."""
    valid: str | None = None
    """The file to validate on. Without one, a part of the data is held out, so that every run has a validation loss."""
    valid_target: str | None = None
    """The second file to validate on."""

    @property
    def files(self) -> list[str]:
        """The files to train on."""
        return [name for name in (self.source, self.target) if name is not None]

    @property
    def validation_files(self) -> list[str]:
        """The files to validate on, if there are any of their own."""
        return [name for name in (self.valid, self.valid_target) if name is not None]


def one_file(data: Sources, valid: Sources, expected: str, remedy: str = "") -> dict[str, Any]:
    """The settings of data in one place, and of others to validate on. Raises `UserError` for more places."""
    _check(data, valid, 1, expected, remedy)
    return {"source": data[0], "valid": valid[0] if valid else None}


def one_or_two_files(data: Sources, valid: Sources, expected: str, remedy: str = "") -> dict[str, Any]:
    """The settings `OneOrTwoFiles` of data, and of others to validate on. Raises `UserError` for more places."""
    _check(data, valid, 2, expected, remedy)
    (source, target), (first, second) = ([*given, None, None][:2] for given in (data, valid))
    return {"source": source, "target": target, "valid": first, "valid_target": second}


def _check(data: Sources, valid: Sources, most: int, expected: str, remedy: str) -> None:
    for what, given in (("DATA", data), ("--valid", valid)):
        if len(given) > most:
            got = "two files" if len(given) == 2 else f"{len(given)} files"
            raise UserError(what, expected=expected, got=got, remedy=remedy, exit_code=2)
