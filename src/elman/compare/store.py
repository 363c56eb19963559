"""A comparison on disk: what is known so far, so that it goes on where it was interrupted.

comparison.json   what seed and data decide          timing.json   what the clock said
cache/            the tokens                         MODEL-SEED/   a run folder each
trials/           the runs of the search             report.html
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from elman import atomic
from elman.compare.plan import Plan, check_same
from elman.errors import UserError

FORMAT = 1


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
        known, timing = _read(folder / "comparison.json"), _read(folder / "timing.json")
        check_same(known["plan"], plan, str(folder))
        known["plan"] = plan.stored()
        return Store(folder, known, timing)
    if begun and overwrite:
        _remove(folder, _read(folder / "comparison.json"))
    elif present - {"cache"}:
        what = "holds a comparison" if begun else "is not empty"
        remedy = "go on with it (--resume), replace it (--overwrite) or choose another place (-o)"
        raise UserError(f"{folder} {what}", remedy=remedy if begun else "choose another place (-o)", exit_code=2)
    known = {"format": FORMAT, "plan": plan.stored(), "settings": {}, "trials": {}, "runs": {}}
    return Store(folder, known, {"runs": {}})


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("format", FORMAT) != FORMAT:
            raise UserError(f"{path} was written by another version of elman", remedy="--overwrite it")
        return values
    except FileNotFoundError:
        return {"runs": {}}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error})", remedy="--overwrite it") from None


def _remove(folder: Path, known: dict[str, Any]) -> None:
    """The runs that it names, and its files; nothing else."""
    plan = known.get("plan", {})
    models, first, seeds = plan.get("models", []), plan.get("seed", 1), plan.get("seeds", 0)
    names = [f"{model}-{seed}" for model in models for seed in range(first, first + seeds)]
    with atomic.told(folder):
        for name in [*names, "trials"]:
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
        for name in ("report.html", "timing.json", "comparison.json"):
            (folder / name).unlink(missing_ok=True)
