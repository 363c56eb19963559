"""A comparison on disk: what is known so far, so that it goes on where it was interrupted.

comparison.json   what seed and data decide          timing.json   what the clock said
cache/            the data                           MODEL-SEED/   a run folder each
trials/           the runs of the search             report.html
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elman import atomic, reading, run_folders
from elman.compare.plan import Plan, check_same
from elman.compare.stored import FORMAT, Known, Timing
from elman.errors import UserError
from elman.tasks import TASKS


class Store:
    """The two JSON files of a comparison's folder, each written whole."""

    def __init__(
        self, folder: Path, known: dict[str, Any], timing: dict[str, Any], *, replaces: Sequence[Path] = ()
    ) -> None:
        self.folder, self.known, self.timing = folder, known, timing
        self.replaces = replaces  # what is left of an older comparison, until `replace`

    def replace(self) -> None:
        """Remove the older comparison, now that all that this one needs is there."""
        atomic.remove(self.replaces)
        for place in sorted({path.parent for path in self.replaces} - {self.folder}, reverse=True):
            with contextlib.suppress(OSError):  # something else is in it
                place.rmdir()
        with contextlib.suppress(OSError):
            (self.folder / "trials").rmdir()
        self.replaces = ()

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
    known = {"format": FORMAT, "plan": plan.stored(), "settings": {}, "trials": {}, "runs": {}}
    if begun and overwrite:
        return Store(folder, known, {"runs": {}}, replaces=_replaced(folder, plan))
    if present - {"cache"}:
        what = "holds a comparison" if begun else "is not empty"
        remedy = "go on with it (--resume), replace it (--overwrite) or choose another place (-o)"
        raise UserError(f"{folder} {what}", remedy=remedy if begun else "choose another place (-o)", exit_code=2)
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
    text = reading.read_text(path, remedy=remedy)
    reading.parse_json(text, kind, f"{path}", remedy=remedy)
    return reading.parse_json(text, dict[str, Any], f"{path}", remedy=remedy)


def _check_whole(known: dict[str, Any], plan: Plan, folder: Path) -> None:
    """See that every model has its settings and its size, once they are chosen."""
    if known["settings"]:
        for part in ("settings", "parameters"):
            if missing := set(plan.models) - known.get(part, {}).keys():
                what = f"{folder / 'comparison.json'} is damaged: no {part} of {', '.join(sorted(missing))}"
                raise UserError(what, remedy="--overwrite it")
        if "data" not in known:
            raise UserError(f"{folder / 'comparison.json'} is damaged: no data", remedy="--overwrite it")
    for name, result in known["runs"].items():
        for score in TASKS[plan.task].scores:
            if not isinstance(result.get(score, 0), int | float):
                what = f"{folder / 'comparison.json'} is damaged: no number runs.{name}.{score}"
                raise UserError(what, remedy="--overwrite it")


def _replaced(folder: Path, plan: Plan) -> list[Path]:
    """The files of the comparison in a folder, which another one is to replace.

    Its run folders are found on the disk. What comparison.json says may narrow these down, and names nothing itself.

    Raises:
        UserError: something else lies in a run folder, or a folder in the place of a file.
    """
    plans = _stored_plan(folder), plan.stored()
    trials = folder / "trials"
    found = [path for path in _runs_in(folder) if _planned(path.name, *plans)]
    found += [trials] if trials.is_symlink() else _runs_in(trials)
    places = [path for path in found if not path.is_symlink()]
    links = [path for path in found if path.is_symlink()]
    files = dict.fromkeys(
        path for place in places for path in (*run_folders.contents(place), place / run_folders.LOCK)
    )  # in their order: a run's config.yaml goes first
    for path in (path for place in places for path in sorted(place.rglob("*"))):
        if path not in files and (path.is_symlink() or not path.is_dir()):
            what = f"{path} is not elman's: the comparison is not overwritten"
            raise UserError(what, remedy="move it away, or choose another place (-o)", exit_code=2)
    names = ["report.html", "timing.json", "comparison.json"]
    atomic.check_replaceable(*(folder / name for name in names))
    # comparison.json last: without it, the folder is no comparison's and would not be overwritten.
    return [*links, *files, *(folder / name for part in names for name in (atomic.temporary(part), part))]


def _stored_plan(folder: Path) -> dict[str, Any]:
    try:
        return dict(reading.read_json(folder / "comparison.json", Known)["plan"])
    except UserError:
        return {}


def _planned(name: str, *plans: dict[str, Any]) -> bool:
    """Whether a run folder's name is that of a training of one of the plans."""
    model, _, seed = name.rpartition("-")
    return any(
        model in plan.get("models", ()) and 0 <= int(seed) - plan.get("seed", 0) < plan.get("seeds", 0)
        for plan in plans
    )


def _runs_in(folder: Path) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    kinds = "|".join(re.escape(kind) for task in TASKS.values() for kind in task.models)
    ours = re.compile(rf"({kinds})-\d+")
    return sorted(path for path in folder.iterdir() if path.is_dir() and ours.fullmatch(path.name))
