"""Runs: the files that a training leaves in its folder, and the trained model that they hold.

config.yaml      the resolved settings          metrics.jsonl   the steps, decided by seed and data
env.json         the machine and its packages   timing.jsonl    the times, decided by the clock
cache/           the corpus as tokens           checkpoints/    to resume from
given/           data that came from memory     report.html     the report of `elman inspect`
model/           config.json, model.safetensors, the codecs of the task (such as
                 tokenizer.json), README.md: all that is needed to use it
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from elman import model_folders
from elman.errors import UserError
from elman.models.weights import load_weights
from elman.run import Run
from elman.tasks import TASKS
from elman.tasks.configuration import OWN

__all__ = ["Run", "load", "place_of"]


@contextmanager
def place_of(out: str | Path | None) -> Iterator[Path]:
    """The folder `out` of a run that the block makes; where None, one in a temporary folder.

    The temporary folder goes where the block fails, and else by `Run.remove_with_me`.
    """
    if out is not None:
        yield Path(out)
        return
    made = Path(tempfile.mkdtemp(prefix="elman-"))
    try:
        yield made / "unnamed"
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def load(
    run: str | Path,
    *,
    model: nn.Module | Callable[..., nn.Module] | None = None,
    device: torch.device | str = "cpu",
) -> Run:
    """The best model of a run, in eval mode, with its codecs.

    Args:
        run: a run folder, or the `model/` folder in one.
        model: for a run of one's own model, the module that takes the weights, or a callable that makes one of the size
            of the vocabulary.
        device: where the model goes.

    Raises:
        UserError: there is no such run or no model in it yet, or files are damaged or do not fit each other.

    >>> import elman
    >>> run = elman.load("runs/demo")
    >>> run.task.name, run.model.hidden_size, run.tokenizer.vocab_size
    ('language-modelling', 32, 12)
    >>> elman.load("runs/dmeo")
    Traceback (most recent call last):
    elman.errors.UserError: runs/dmeo: no such run; train one with `elman train DATA -o RUN`
    """
    folder = model_folders.find(run)
    config = model_folders.read_config(folder, run)
    task = TASKS[config.task]
    if model is not None:
        made = task.own(model, config.model)
    elif config.model.get("model") == OWN:
        raise UserError(f"{run}: its model is somebody's own", remedy=f'elman.load("{run}", model=...) takes it')
    else:
        model_folders.check_model(task, config.model, folder)
        made = task.build(config.model)
    codecs = task.read_codecs(folder, made)
    load_weights(made, folder / "model.safetensors", remedy=model_folders.REWRITE)
    return Run(Path(run), task, made.to(device).eval(), codecs, asdict(config))
