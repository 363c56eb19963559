"""A comparison on disk: what is known so far, so that it goes on where it was interrupted.

comparison.json   what seed and data decide          timing.json   what the clock said
cache/            the tokens                         MODEL-SEED/   a run folder each
trials/           the runs of the search             report.html
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elman import atomic, reading, runs
from elman.compare.plan import Plan, check_same
from elman.compare.stored import FORMAT, Known, Timing
from elman.errors import UserError
from elman.train.config import TASKS

RUN = re.compile(rf"({'|'.join(TASKS['language-modelling'].models)})-\d+")  # a folder of ours


class Store:
    """The two JSON files of a comparison's folder, each written whole."""

    def __init__(self, folder: Path, known: dict[str, Any], timing: dict[str, Any]) -> None:
        self.folder, self.known, self.timing = folder, known, timing

    def save(self) -> None:
        """Write what is known."""
        for name, values in (("timing", self.timing), ("comparison", self.known)):
            atomic.write_text(self.folder / f"{name}.json", json.dumps(values, indent=1) + "\n")


def open_store(folder: Path, plan: Plan, *, resume: bool, overwrite: bool) -> Store:
    """The comparison in a folder: a new one, or the one that goes on. Nothing is written.

    Raises:
        UserError: there is something else in it, or it was begun with something else.
    """
    with atomic.told(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}", expected="a folder for the comparison", got="a file", exit_code=2)
        begun = (folder / "comparison.json").exists()
        present = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if begun and resume:
        known, timing = _read(folder)
        check_same(known["plan"], plan, str(folder))
        known["plan"] = plan.stored()
        _check_whole(known, plan, folder)
        return Store(folder, known, timing)
    if begun and overwrite:
        _remove(folder)
    elif present - {"cache"}:
        what = "holds a comparison" if begun else "is not empty"
        remedy = "go on with it (--resume), replace it (--overwrite) or choose another place (-o)"
        raise UserError(f"{folder} {what}", remedy=remedy if begun else "choose another place (-o)", exit_code=2)
    known = {"format": FORMAT, "plan": plan.stored(), "settings": {}, "trials": {}, "runs": {}}
    return Store(folder, known, {"runs": {}})


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is known, and what the clock said, checked."""
    known = _checked(folder / "comparison.json", Known, "--overwrite it")
    if known["format"] != FORMAT:
        raise UserError(f"{folder} was written by another version of elman", remedy="--overwrite it")
    try:
        return known, _checked(folder / "timing.json", Timing, "remove it, or --overwrite the comparison")
    except reading.Missing:
        return known, {"runs": {}}


def _checked(path: Path, kind: Any, remedy: str) -> dict[str, Any]:
    """A JSON file's values as they are: the checked ones have their keys in another order, and are not written back."""
    reading.read_json(path, kind, remedy=remedy)
    return reading.read_json(path, dict[str, Any], remedy=remedy)


def _check_whole(known: dict[str, Any], plan: Plan, folder: Path) -> None:
    """See that every model has its settings and its size, once they are chosen."""
    if known["settings"]:
        for part in ("settings", "parameters"):
            if missing := set(plan.models) - known.get(part, {}).keys():
                what = f"{folder / 'comparison.json'} is damaged: no {part} of {', '.join(sorted(missing))}"
                raise UserError(what, remedy="--overwrite it")
        if "data" not in known:
            raise UserError(f"{folder / 'comparison.json'} is damaged: no data", remedy="--overwrite it")


def _remove(folder: Path) -> None:
    """Remove the comparison's files and run folders, known by their names in the folder.

    What comparison.json says is not asked: nothing that is read from a file decides what is removed. Raises `UserError`
    where something else lies in a run folder; then nothing is removed.
    """
    found = [*_runs_in(folder), *_runs_in(folder / "trials")]
    links = [place for place in found if place.is_symlink()]
    places = [place for place in found if not place.is_symlink()]
    for place in places:
        if others := sorted({path.name for path in place.iterdir()} - runs.OURS):
            what = f"{place} holds {others[0]}, which is not elman's: it is not overwritten"
            raise UserError(what, remedy="move it away, or choose another place (-o)", exit_code=2)
    # comparison.json last: without it, the folder is no comparison's and would not be overwritten.
    names = ("report.html", "timing.json", "comparison.json")
    atomic.remove([*places, *links, *(folder / name for name in names)])
    with contextlib.suppress(OSError):  # it was not there, or something else is in it
        (folder / "trials").rmdir()


def _runs_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir() and not folder.is_symlink():
        yield from sorted(path for path in folder.iterdir() if path.is_dir() and RUN.fullmatch(path.name))
