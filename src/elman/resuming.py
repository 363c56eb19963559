"""Going on with a run, exactly (what must be as it was, and what may change), or from its weights with other data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from elman import model_folders, reading, run_folders
from elman.errors import UserError
from elman.models.weights import check_shapes
from elman.runs import Run
from elman.tasks import TASKS, configuration
from elman.tasks.configuration import OWN, Settings
from elman.tasks.task import Say

DEFAULT_BUDGET = {"amount": 120.0, "unit": "seconds"}


@dataclass(frozen=True)
class Began:
    """What is read again of `env.json`."""

    threads: int


def settle(
    tree: dict[str, Any], folder: Path, resume: bool, overwrite: bool, start: Run | None, own: object
) -> tuple[Settings, bool]:
    """The settings, all that can be checked without writing being checked, and whether a run goes on."""
    going_on = resume and (folder / "config.yaml").exists()
    if going_on:
        settings = agreed(configuration.read_settings(folder), tree, folder)
    else:
        # The settings of another run may be taken for another text.
        data = {key: value for key, value in (tree.get("data") or {}).items() if key != "fingerprint"}
        settings = configuration.build(
            {"budget": DEFAULT_BUDGET} | tree | {"data": data, "start": start and str(start.path)}
        )
        run_folders.check_place(folder, overwrite=overwrite)
    if settings.kind == OWN and own is None and (going_on or start is None):
        what = "a model of one's own is given in Python"
        raise UserError(what, remedy="elman.fit(data, model=...)", exit_code=2)
    if settings.train.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: torch sees no CUDA device here", remedy="leave it out, or --set device=cpu")
    TASKS[settings.task].check(settings)
    return settings, going_on


def stored_names(folder: Path) -> dict[str, Any]:
    """The task and the kind of model of the run in a folder, as its settings name them; nothing where there is none."""
    stored = folder / "config.yaml"
    tree = configuration.read_yaml(stored) if stored.exists() else {}
    return {name: tree[name] for name in ("task", "kind") if name in tree}


def agreed(stored: Settings, tree: dict[str, Any], folder: Path) -> Settings:
    """The run's own settings, where what is asked for now does not contradict them; the budget may change."""
    asked = configuration.build({"budget": stored.budget, "task": stored.task, "kind": stored.kind} | tree)
    if asked.task != stored.task:
        raise UserError(f"{folder} is a run of another task", expected=stored.task, got=asked.task)
    if asked.kind != stored.kind:
        raise UserError(f"{folder} is a run of another model", expected=stored.kind, got=asked.kind)
    places = TASKS[stored.task].places
    moving = {*places, *(name for others in places.values() for name in others)}
    for name in ("data", "model", "train"):
        old, new = getattr(stored, name), getattr(asked, name)
        for key, value in new:
            decides = key in new.model_fields_set and key not in moving and key != "fingerprint"
            if decides and value != getattr(old, key):
                raise UserError(
                    f"{folder} was made with another {key}",
                    expected=getattr(old, key),
                    got=value,
                    remedy="leave it out to --resume, or train a new run",
                )
    # The same data may lie in another place now, and in one file instead of two: the fingerprint knows it.
    again = {key for first in places if first in asked.data.model_fields_set for key in (first, *places[first])}
    moved = {key: value for key, value in asked.data if key in again}
    return stored.model_copy(
        update={
            "budget": asked.budget,
            "data": stored.data.model_copy(update=moved),
        }
    )


def compare_threads(folder: Path, say: Say) -> None:
    """A sum depends on its order, and the order on the number of threads."""
    try:
        began_with = reading.read_json(folder / "env.json", Began).threads
    except UserError:
        return
    if began_with != torch.get_num_threads():
        say(
            f"warning: the run began with {began_with} threads and goes on with {torch.get_num_threads()}: "
            f"it will not end bit by bit as it would have (OMP_NUM_THREADS={began_with})"
        )


VOCABULARY = {"tokenizer", "vocab_size", "min_count", "joint"}  # settings of data that make another vocabulary


def begun_from(start: Run, tree: dict[str, Any], task: str = "auto") -> dict[str, Any]:
    """A tree with the task, the kind, the model and the codecs of the run that the training begins with.

    Raises:
        UserError: the tree asks for others.
    """
    kind = start.config["model"]["model"]
    if task != "auto":
        tree = tree | {"task": task}
    for what, name, own in (("task", "task", start.task.name), ("model", "kind", kind)):
        if (asked := tree.get(name, own)) != own:
            raise UserError(f"{start.path} is a run of another {what}", expected=own, got=asked)
    fields = configuration.sections(start.task, kind)["model"].model_fields
    model = {name: value for name, value in start.config["model"].items() if name in fields}
    model |= tree.get("model") or {}
    return tree | {"task": start.task.name, "kind": kind, "model": model}


def check_codecs(settings: Settings, codecs: Mapping[str, Any]) -> Settings:
    """The settings of data with the kind of the codecs that are there. Errors: `UserError` for those of others."""
    data = settings.data
    kind = next((codec.kind for codec in codecs.values() if hasattr(codec, "kind")), None)
    if kind is None:
        return settings
    defaults = type(data).model_fields
    for name in sorted(data.model_fields_set & VOCABULARY):
        value = getattr(data, name)
        same = value in (kind, "auto") if name == "tokenizer" else value == defaults[name].default
        if not same:
            what = f"{name}: the vocabulary is that of the run {settings.start}"
            raise UserError(what, got=value, remedy="leave it out, or train a new model", exit_code=2)
    return settings.model_copy(update={"data": data.model_copy(update={"tokenizer": kind})})


def begun_codecs(settings: Settings, folder: Path) -> Mapping[str, Any]:
    """The codecs of a run that goes on and began with another's: its data alone do not make them again."""
    return model_folders.read_codecs(folder) if settings.start else {}


def copy_weights(start: Run, model: nn.Module) -> None:
    """Begin with a run's weights. Errors: `UserError` where the model has others."""
    weights = start.model.state_dict()
    check_shapes(model, {name: tuple(tensor.shape) for name, tensor in weights.items()}, start.path)
    model.load_state_dict(weights)
