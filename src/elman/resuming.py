"""The settings of a run that a training goes on with, and whether they agree with those that are given now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from elman import launcher, reading, run_folders
from elman.distributed import Ranks
from elman.errors import UserError
from elman.tasks import TASKS, configuration
from elman.tasks.configuration import IMPORTED, OWN, Settings
from elman.tasks.exchange import Say, Trained

DEFAULT_BUDGET = {"amount": 120.0, "unit": "seconds"}
VOCABULARY = ("joint", "min_count", "tokenizer", "vocab_size")  # settings of data that make another vocabulary


@dataclass(frozen=True)
class Began:
    """The part of `env.json` that a resumed training reads."""

    threads: int
    processes: int = 1
    launch: str | None = None
    attempt: str | None = None


def began_earlier(folder: Path, ranks: Ranks) -> bool:
    """Whether the run in a folder was begun in an earlier attempt of the launch that has started these processes."""
    if ranks.launch is None:
        return False
    try:
        began = reading.read_json(folder / "env.json", Began)
    except UserError:
        return False
    return began.launch == ranks.launch and began.attempt != ranks.attempt


def settle(
    tree: Mapping[str, Any], folder: Path, *, resume: bool, overwrite: bool, start: Trained | None, own: object
) -> tuple[Settings, bool]:
    """The settings of a training, and whether a run goes on. Whatever can be checked without writing is checked.

    Arguments and errors are those of `preparation.prepare`.
    """
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other", exit_code=2)
    going_on = resume and (folder / "config.yaml").exists()
    if going_on:
        settings = _agreed(configuration.read_settings(folder), tree, folder, start)
    else:
        # A config.yaml of another run may be used with another text, and does not begin where that run began.
        data = {key: value for key, value in (tree.get("data") or {}).items() if key != "fingerprint"}
        begun = {"data": data, "start": None if start is None else str(start.path)}
        settings = configuration.build({"budget": DEFAULT_BUDGET, **tree, **begun})
        run_folders.check_place(folder, overwrite=overwrite)
    if settings.kind == OWN and own is None and (going_on or start is None):
        what = "a model of one's own is given in Python"
        raise UserError(what, remedy="elman.fit(data, model=...)", exit_code=2)
    if settings.train.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: torch sees no CUDA device here", remedy="leave it out, or --set device=cpu")
    TASKS[settings.task].check(settings)
    return settings, going_on


def _agreed(stored: Settings, tree: Mapping[str, Any], folder: Path, start: Trained | None) -> Settings:
    """The settings of the run, with the budget and the places of the data that are given now.

    Raises:
        UserError: another setting is given than that of the run.
    """
    tree = dict(tree)
    if stored.kind == IMPORTED:  # the layers have no default
        tree["model"] = stored.model.model_dump() | (tree.get("model") or {})
    asked = configuration.build({"budget": stored.budget, "task": stored.task, "kind": stored.kind, **tree})
    for name, what in (("task", "task"), ("kind", "model")):
        if getattr(asked, name) != getattr(stored, name):
            expected, got = getattr(stored, name), getattr(asked, name)
            raise UserError(f"{folder} is a run of another {what}", expected=expected, got=got)
    if start is not None and (stored.start is None or Path(stored.start).resolve() != start.path.resolve()):
        what, got = f"{folder} was made with another start", start.path
        raise UserError(what, expected=stored.start, got=got, remedy="leave it out to go on, or train a new run")
    # The same data may lie in another place now, and in one file instead of two: the fingerprint knows it.
    places = TASKS[stored.task].places
    moving = {*places, *(name for others in places.values() for name in others), "fingerprint"}
    for section in ("data", "model", "train"):
        old, new = getattr(stored, section), getattr(asked, section)
        for key, value in new:
            if key in new.model_fields_set and key not in moving and value != getattr(old, key):
                what, remedy = f"{folder} was made with another {key}", "leave it out to go on, or train a new run"
                raise UserError(what, expected=getattr(old, key), got=value, remedy=remedy)
    moved = [key for first in places if first in asked.data.model_fields_set for key in (first, *places[first])]
    changed = stored.with_data({key: getattr(asked.data, key) for key in moved})
    return changed.model_copy(update={"budget": asked.budget})


def check_vocabulary(settings: Settings, codecs: Mapping[str, Any]) -> Settings:
    """The settings with the tokenizer of the run that the training begins from.

    Raises:
        UserError: the settings ask for another vocabulary.
    """
    data, defaults = settings.data, type(settings.data).model_fields
    kind = next((codec.kind for codec in codecs.values() if hasattr(codec, "kind")), None)
    if kind is None:
        return settings
    for name in VOCABULARY:
        if name in data.model_fields_set:
            value, usual = getattr(data, name), (kind, "auto") if name == "tokenizer" else (defaults[name].default,)
            if value not in usual:
                what = f"{name}: the vocabulary is that of the run {settings.start}"
                raise UserError(what, got=value, remedy="leave it out, or train a new model", exit_code=2)
    return settings.with_data({"tokenizer": kind})


def compare_threads(folder: Path, say: Say) -> None:
    """Warn where a run goes on with other numbers of threads or processes, on which the order of sums depends."""
    try:
        began = reading.read_json(folder / "env.json", Began)
    except UserError:
        return
    now = Began(torch.get_num_threads(), launcher.launched())
    for what, before, after, remedy in (
        ("processes", began.processes, now.processes, f"--processes {began.processes}"),
        ("threads", began.threads, now.threads, f"OMP_NUM_THREADS={began.threads}"),
    ):
        if before != after:
            say(
                f"warning: the run began with {before} {what} and goes on with {after}: "
                f"it will not end bit by bit as it would have ({remedy})"
            )
