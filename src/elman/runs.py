"""Runs: what a training leaves behind in its folder, and how to load its model.

config.yaml      the resolved settings          metrics.jsonl   what happened, decided by seed and data
env.json         what it ran on                 timing.jsonl    what the clock said
cache/           the corpus as tokens           checkpoints/    to resume from
model/           config.json, model.safetensors, the codecs of the task (such as
                 tokenizer.json), README.md: all that is needed to use it
report.html      what `elman inspect` saw
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from elman import __version__, atomic, reading
from elman.errors import UserError
from elman.tasks import TASKS
from elman.tasks.task import Codec, Task, Trained

FORMAT = 2  # of `config.json`
REWRITE = "restore it, or go on with the run: `elman train ... --resume` writes its model/ again"


@dataclass(frozen=True)
class ModelConfig:
    """What a model's `config.json` holds."""

    task: str
    model: dict[str, Any]
    format: int = FORMAT
    elman: str = __version__  # that wrote it


class Run(Trained):
    """A trained model with all that is needed to use it, and its uses."""


def load(run: str | Path, *, device: torch.device | str = "cpu") -> Run:
    """The best model of a run, in eval mode, with its codecs.

    Args:
        run: a run folder, or the `model/` folder in one.
        device: where the model goes.

    Raises:
        UserError: no such run, nothing trained in it yet, or files that are damaged or do not fit each other.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"{run}: no such run", remedy="train one with `elman train DATA -o RUN`")
    if (folder / "model").is_dir() or (folder / "config.yaml").exists():
        folder = folder / "model"
    from elman.models.weights import load_weights

    config = _read_config(folder, run)
    task = TASKS[config.task]
    model = _build(task, config.model, folder)
    codecs = task.read_codecs(folder, model)
    load_weights(model, folder / "model.safetensors", remedy=REWRITE)
    return Run(Path(run), task, model.to(device).eval(), codecs, asdict(config))


def _read_config(folder: Path, run: str | Path) -> ModelConfig:
    try:
        config = reading.read_json(folder / "config.json", ModelConfig, remedy=REWRITE)
    except reading.Missing:
        raise UserError(
            f"{run} holds no model: it has no config.json",
            remedy=f"give a folder that `elman train` made; {REWRITE}",
        ) from None
    if config.format > FORMAT:
        got, remedy = f"{config.format}, of elman {config.elman}", "install that version, or a newer one"
        raise UserError(f"{run}: the format of config.json", expected=f"at most {FORMAT}", got=got, remedy=remedy)
    if config.task not in TASKS:
        raise UserError(f"{run}", expected=" or ".join(TASKS), got=f"the task {config.task!r}")
    return config


def _build(task: Task, config: dict[str, Any], folder: Path) -> nn.Module:
    """The model of a configuration, if it is that of the weights beside it: first without memory, then in earnest.

    Raises:
        UserError: the configuration is damaged, or that of another model.
    """
    from elman.models.weights import check_shapes, read_shapes

    place, weights = folder / "config.json", folder / "model.safetensors"
    shapes = read_shapes(weights, remedy=REWRITE)
    layers = [value for name, value in config.items() if name.endswith("layers")]
    if any(isinstance(value, int) and value > len(shapes) for value in layers):
        raise UserError(f"{weights} holds another model's weights", expected=f"{max(layers)} layers")
    try:
        with torch.device("meta"):
            empty = task.build(config)
    except UserError as error:
        raise UserError(f"{place}: {error}", remedy=REWRITE) from None
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise UserError(f"{place} is damaged ({str(error).splitlines()[0]})", remedy=REWRITE) from None
    check_shapes(empty, shapes, weights)
    return task.build(config)


def write_model_folder(folder: Path, task: str, model: nn.Module, codecs: Mapping[str, Codec], card: str) -> None:
    """Write everything of `model/` but the weights, which the training writes."""
    config = ModelConfig(task, cast(dict[str, Any], model.config))
    atomic.write_text(folder / "config.json", json.dumps(asdict(config), indent=1) + "\n")
    for name, codec in codecs.items():
        atomic.write_text(folder / f"{name}.json", json.dumps(codec.to_json(), ensure_ascii=False) + "\n")
    atomic.write_text(folder / "README.md", card)
