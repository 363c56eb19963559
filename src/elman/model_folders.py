"""Model folders: `model/` of a run, which is all that is needed to use its model; `elman.runs` lists its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import nn

from elman import __version__, atomic, reading
from elman.errors import UserError
from elman.models.weights import check_shapes, read_shapes
from elman.tasks import TASKS
from elman.tasks.configuration import OWN, Settings
from elman.tasks.exchange import Codec
from elman.tasks.task import Task

FORMAT = 2  # of `config.json`
REWRITE = "restore it, or go on with the run: `elman train ... --resume` writes its model/ again"


@dataclass(frozen=True)
class ModelConfig:
    """The `config.json` of a model."""

    task: str
    model: dict[str, Any]  # what `Task.build` makes the model from
    format: int = FORMAT
    elman: str = __version__  # the version that wrote the file


def find(run: str | Path) -> Path:
    """The model folder of a run, or the folder itself where it is one. Raises `UserError` where there is no folder."""
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"{run}: no such run", remedy="train one with `elman train DATA -o RUN`")
    return folder / "model" if (folder / "model").is_dir() or (folder / "config.yaml").exists() else folder


def read_codecs(run: Path) -> Mapping[str, Any]:
    """The codecs of a run, which may have no weights yet. Raises `UserError` where a codec is damaged."""
    folder = find(run)
    config = read_config(folder, run)
    try:
        return TASKS[config.task].read_codecs(folder, cast(nn.Module, SimpleNamespace(**config.model)))
    except AttributeError:
        raise UserError(f"{folder / 'config.json'} is damaged: it has no size of a vocabulary") from None


def read_config(folder: Path, run: str | Path) -> ModelConfig:
    """The `config.json` of a run. Raises `UserError` where the file is missing, damaged, or of a later format."""
    try:
        config = reading.read_json(folder / "config.json", ModelConfig, remedy=REWRITE)
    except reading.Missing:
        what, remedy = f"{run} holds no model: it has no config.json", "give a folder that `elman train` made"
        raise UserError(what, remedy=f"{remedy}; {REWRITE}") from None
    if config.format > FORMAT:
        got, remedy = f"{config.format}, of elman {config.elman}", "install that version, or a newer one"
        raise UserError(f"{run}: the format of config.json", expected=f"at most {FORMAT}", got=got, remedy=remedy)
    if config.task not in TASKS:
        raise UserError(f"{run}", expected=" or ".join(TASKS), got=f"the task {config.task!r}")
    return config


def check_model(task: Task, config: dict[str, Any], folder: Path) -> int:
    """The number of parameters of a model, of which only the shapes are built and compared with its weights' file.

    Raises:
        UserError: the configuration is damaged, or the weights are another model's.
    """
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
    return sum(parameter.numel() for parameter in empty.parameters())


def write(folder: Path, settings: Settings, model: dict[str, Any], codecs: Mapping[str, Codec]) -> None:
    """Write a model folder without the weights, which the training writes; `Task.build` takes `model`."""
    run = folder.parent
    usage = TASKS[settings.task].usage.format(run=run)
    if settings.kind == OWN:
        usage = usage.replace(f'elman.load("{run}")', f'elman.load("{run}", model=...)  # the module, or what makes it')
    about = f"""A model ({settings.kind}, {settings.task}) trained by elman {__version__} on `{settings.data.source}`.

{usage}
All settings, as `elman train --config` takes them:

```yaml
{settings.to_yaml()}```
"""
    write_files(folder, run.name, settings.task, model, codecs, about)


def write_files(
    folder: Path, name: str, task: str, model: dict[str, Any], codecs: Mapping[str, Codec], about: str
) -> None:
    """Write the files of a model folder but the weights; the card has the run's name and what is said `about` it."""
    config = asdict(ModelConfig(task, model))
    atomic.write_text(folder / "config.json", json.dumps(config, indent=1) + "\n")
    for file, codec in codecs.items():
        atomic.write_text(folder / f"{file}.json", json.dumps(codec.to_json(), ensure_ascii=False) + "\n")
    atomic.write_text(folder / "README.md", f"# {name}\n\n{about}")
