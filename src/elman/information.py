"""The description of a run, as far as its files can be read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from elman import model_folders, run_folders
from elman.errors import UserError
from elman.models.weights import read_shapes
from elman.reading import Missing
from elman.tasks import TASKS, configuration
from elman.train import checkpoints, journal


def describe(run: str | Path) -> dict[str, Any]:
    """Describe a run by plain values with names; "damaged" has a line for each file that is missing or unreadable.

    Raises:
        UserError: there is no folder, or nothing in the folder that a training made.
    """
    path, folder = Path(run), model_folders.find(run)
    is_run = (path / "config.yaml").exists()
    if not is_run and not (folder / "config.json").exists():
        raise UserError(f"{run} is no run", remedy="give a folder that `elman train` made")
    state = ("in training" if run_folders.is_locked(path) else "at rest") if is_run else "a model alone"
    report: dict[str, Any] = {"run": str(run), "state": state}
    damaged = []
    for part in (_config, _weights, *((of_settings, of_training) if is_run else ())):
        try:
            report |= part(path)
        except UserError as error:
            if not isinstance(error, Missing) or state != "in training":  # a training that just began has no weights
                damaged.append(str(error))
    return {**report, "damaged": list(dict.fromkeys(damaged))}


def _config(path: Path) -> dict[str, Any]:
    config = model_folders.read_config(model_folders.find(path), path)
    return {"task": config.task, "model": config.model, "format": config.format, "elman": config.elman}


def _weights(path: Path) -> dict[str, Any]:
    """The number of parameters. Raises `UserError` where the weights or the codecs are not those of the model."""
    folder = model_folders.find(path)
    config = model_folders.read_config(folder, path)
    model_folders.read_codecs(path)
    if config.model.get("model") == configuration.OWN:
        shapes = read_shapes(folder / "model.safetensors", remedy=model_folders.REWRITE)
        return {"parameters": sum(math.prod(shape) for shape in shapes.values())}
    return {"parameters": model_folders.check_model(TASKS[config.task], config.model, folder)}


def of_settings(path: Path) -> dict[str, Any]:
    """The data of a run, the run that it began with, its budget and seed."""
    settings = configuration.read_settings(path)
    return {
        "trained on": configuration.named(settings.data.source, path),
        "validated on": configuration.named(settings.data.valid or "a part of the training data", path),
        "began with": settings.start,
        "budget": str(settings.budget),
        "seed": settings.train.seed,
    }


def of_training(path: Path) -> dict[str, Any]:
    """How far the training is, and the validation of the weights that it ships, the best ones."""
    last: dict[str, Any] = {}
    best: dict[str, Any] = {}
    least, clock = math.inf, path / "timing.jsonl"
    for record in journal.read(path / "metrics.jsonl"):
        if "validation" not in record:
            last = record
        elif record.get("best") is not None and record["best"] < least:
            least, best = record["best"], {"step": record["step"], **record["validation"]}
    laps = journal.read_timing(clock) if clock.exists() else ()
    return {
        "steps": last.get("step", 0),
        "epochs": last.get("epoch", 0.0),
        "seconds": max((lap["seconds"] for lap in laps), default=None),
        "best": best,
        "checkpoints": len(checkpoints.paths(path / "checkpoints")),
    }
