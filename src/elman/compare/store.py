"""A comparison on disk, so that an interrupted one goes on where it was.

comparison.json   what seed and data decide          timing.json   what the clock and the machine decide
cache/            the data                           MODEL-SEED/   a run folder each
trials/           the runs of the search             report.html
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from elman import atomic, reading, run_folders
from elman.compare.plan import Plan
from elman.errors import UserError
from elman.reading import Count
from elman.tasks import TASKS

FORMAT = 1
FILES = ("report.html", "timing.json", "comparison.json")
REPLACE = "replace it (--overwrite)"  # the remedy of a damaged comparison

Number = Annotated[int, Field(gt=-(1 << 53), lt=1 << 53)] | float
Term = Annotated[float, Field(ge=0, lt=1 << 53)]  # of a score, in one block

# What is read again of the two JSON files (`training.measured_training` makes it), by name and type; they hold more.


class _Blocks(BaseModel):  # of the loss
    nats: list[Number]
    tokens: list[Number]

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if not 0 < len(self.nats) == len(self.tokens):
            raise ValueError("expected as many nats as tokens, and one at least")
        if min(self.tokens) < 0 or not any(self.tokens):
            raise ValueError("expected tokens")
        return self


class _GradientReach(BaseModel):  # empty where the data are too few to tell
    horizon: Number | None = None
    lags: Count | None = None
    gradient: list[Number | None] = []

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(self.gradient) != (0 if self.lags is None else self.lags + 1):
            raise ValueError("expected a gradient at every lag")
        return self


class _Result(BaseModel):  # the scores of the task stand beside these values
    loss: Number
    tokens: Count  # targets learnt from
    learning_rate: Number
    memory: _GradientReach = _GradientReach()
    curve: list[tuple[Number, Number, Number | None]]  # step, tokens, loss
    training_curve: list[tuple[Number, Number | None]]  # tokens, loss
    blocks: _Blocks
    score_terms: dict[str, Annotated[list[list[Term]], Field(min_length=1)]] = {}  # older comparisons have none


class _Trial(BaseModel):
    place: Count = 0  # older trials do not have it
    factor: Number
    loss: Number | None


class _Plan(BaseModel):
    models: list[str]
    seed: Count
    seeds: Count


class _Known(BaseModel):
    format: int
    plan: _Plan
    settings: dict[str, dict[str, Any]]
    trials: dict[str, list[_Trial]]
    runs: dict[str, _Result]
    parameters: dict[str, Count] = {}
    data: dict[str, Count] = {}  # `Task.counts`


class _Clock(BaseModel):
    seconds: Number
    training_tokens_per_second: Number
    decoding_tokens_per_second: Number | None = None
    peak_megabytes: Number | None
    own_share: Number | None = None
    others_share: Number | None = None


class _Timing(BaseModel):
    runs: dict[str, _Clock]


@dataclass
class Store:
    """The two JSON files of a comparison's folder, each written whole.

    >>> from elman.compare import Plan
    >>> from elman.train import parse_budget
    >>> plan = Plan(("book.txt",), ("gru", "lstm"), budget=parse_budget("2m"))
    >>> store = open_store(Path("runs/comparison"), plan, resume=False, overwrite=False)
    >>> store.known["plan"]["models"], store.known["runs"]  # nothing is trained yet
    (['gru', 'lstm'], {})
    """

    folder: Path
    known: dict[str, Any]  # comparison.json
    timing: dict[str, Any]  # timing.json
    replaces: Sequence[Path] = ()  # the files of an older comparison, until `replace` removes them

    def replace(self) -> None:
        """Remove the older comparison, now that everything the new one needs is there."""
        atomic.remove(self.replaces)
        folders = sorted({path.parent for path in self.replaces} - {self.folder}, reverse=True)
        for folder in (*folders, self.folder / "trials"):
            with contextlib.suppress(OSError):  # something else is in the folder, or it is not there
                folder.rmdir()
        self.replaces = ()

    def _repr_html_(self) -> str:
        """The report within a notebook."""
        from elman.compare.drawing import report

        return report(Plan.restored(self.known["plan"]), self)._repr_html_()

    def save(self) -> None:
        """Write both files."""
        for name, values in (("timing", self.timing), ("comparison", self.known)):
            atomic.write_text(self.folder / f"{name}.json", json.dumps(values, indent=1) + "\n")


def open_store(folder: Path, plan: Plan, *, resume: bool, overwrite: bool) -> Store:
    """The comparison in a folder: a new one, or the comparison that goes on. Nothing is written.

    Raises:
        UserError: something else is in the folder, or the comparison was begun with another plan.
    """
    with atomic.told(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}", expected="a folder for the comparison", got="a file", exit_code=2)
        begun = (folder / "comparison.json").exists()
        present = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if begun and resume:
        return _resumed(folder, plan)
    known = {"format": FORMAT, "plan": plan.stored(), "settings": {}, "trials": {}, "runs": {}}
    if begun and overwrite:
        return Store(folder, known, {"runs": {}}, replaces=_replaced(folder, plan))
    if present - {"cache"}:
        what = "holds a comparison" if begun else "is not empty"
        remedy = "go on with it (--resume), replace it (--overwrite) or choose another place (-o)"
        raise UserError(f"{folder} {what}", remedy=remedy if begun else "choose another place (-o)", exit_code=2)
    return Store(folder, known, {"runs": {}})


def _resumed(folder: Path, plan: Plan) -> Store:
    path = folder / "comparison.json"
    known = _checked(path, _Known, REPLACE)
    if known["format"] != FORMAT:
        raise UserError(f"{folder} was written by another version of elman", remedy=REPLACE)
    try:
        timing = _checked(folder / "timing.json", _Timing, "remove it, or replace the comparison (--overwrite)")
    except reading.Missing:
        timing = {"runs": {}}
    plan.check_same(known["plan"], str(folder))
    known["plan"] = plan.stored()
    for trials in known["trials"].values():
        trials[:] = [{"place": place} | found for place, found in enumerate(trials)]  # older ones stand at their place
    lacking, task = [], TASKS[plan.task]
    if known["settings"]:  # sizes are chosen for all models at once
        for part in ("settings", "parameters"):
            if missing := set(plan.models) - known.get(part, {}).keys():
                lacking.append(f"no {part} of {', '.join(sorted(missing))}")
        lacking += [] if "data" in known else ["no data"]
    for name, result in known["runs"].items():
        for score in task.scores:
            if not isinstance(result.get(score, 0), int | float):
                lacking.append(f"no number runs.{name}.{score}")
        for score, terms in result.get("score_terms", {}).items():
            if {len(block) for block in terms} != {task.terms.get(score, 2)}:
                lacking.append(f"no terms runs.{name}.score_terms.{score}")
    if lacking:
        raise UserError(f"{path} is damaged: {lacking[0]}", remedy=REPLACE)
    return Store(folder, known, timing)


def _checked(path: Path, kind: type, remedy: str) -> dict[str, Any]:
    """All values of a JSON file in the order of the file, after those that are read again have been checked."""
    text = reading.read_text(path, remedy=remedy)
    reading.parse_json(text, kind, f"{path}", remedy=remedy)
    return reading.parse_json(text, dict[str, Any], f"{path}", remedy=remedy)


def _replaced(folder: Path, plan: Plan) -> list[Path]:
    """The files of the comparison in a folder that another comparison is to replace.

    Run folders are found on the disk. The models and seeds in comparison.json may narrow them down, but become no path.

    Raises:
        UserError: something else lies in a run folder, or a folder in the place of a file.
    """
    plans, trials = [vars(plan)], folder / "trials"
    with contextlib.suppress(UserError):
        plans.append(vars(reading.read_json(folder / "comparison.json", _Known).plan))
    found = [path for path in _runs_in(folder) if any(_is_planned(path.name, one) for one in plans)]
    found += [trials] if trials.is_symlink() else _runs_in(trials)
    places = [path for path in found if not path.is_symlink()]
    links = [path for path in found if path.is_symlink()]
    # In their order: a run's config.yaml goes first.
    files = dict.fromkeys(path for place in places for path in (*run_folders.contents(place), place / run_folders.LOCK))
    for path in (path for place in places for path in sorted(place.rglob("*"))):
        if path not in files and (path.is_symlink() or not path.is_dir()):
            what = f"{path} is not elman's: the comparison is not overwritten"
            raise UserError(what, remedy="move it away, or choose another place (-o)", exit_code=2)
    atomic.check_replaceable(*(folder / name for name in FILES))
    # comparison.json last: without it, the folder is no comparison's and would not be overwritten.
    return [*links, *files, *(folder / name for part in FILES for name in (atomic.temporary(part), part))]


def _is_planned(name: str, plan: Mapping[str, Any]) -> bool:
    """Whether a run folder has the name of a training of a plan."""
    model, _, seed = name.rpartition("-")
    return model in plan["models"] and 0 <= int(seed) - plan["seed"] < plan["seeds"]


def _runs_in(folder: Path) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    kinds = "|".join(re.escape(kind) for task in TASKS.values() for kind in task.models)
    ours = re.compile(rf"({kinds})-\d+")
    return sorted(path for path in folder.iterdir() if path.is_dir() and ours.fullmatch(path.name))
