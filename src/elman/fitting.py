"""From settings and a folder to a training that can start, or go on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from elman import __version__, atomic, environment, reading, run_folders, runs
from elman.data.sources import NAMED
from elman.errors import UserError
from elman.models.initialization import initial_model
from elman.tasks import TASKS, configuration
from elman.tasks.capacity import check_memory
from elman.tasks.configuration import Settings
from elman.tasks.task import Progress, Say, Task
from elman.train.training import Training

DEFAULT_BUDGET = {"amount": 120.0, "unit": "seconds"}


@dataclass(frozen=True)
class Prepared:
    """A training ready to start or to go on, and what it was made from."""

    folder: Path
    settings: Settings
    training: Training
    corpus: Any


@dataclass(frozen=True)
class Began:
    """What is read again of `env.json`."""

    threads: int


def default_folder(data: str, kind: str, *, again: bool) -> Path:
    """`runs/NAME-KIND`, with a number where that is taken; `again` takes the last one there is."""
    name = data if data in NAMED else Path(data).resolve().name
    for ending in (".gz", ".zst", ".txt", ".tsv", ".jsonl", ".ndjson"):
        name = name.removesuffix(ending)
    name = name or "run"
    path, number = Path("runs") / f"{name}-{kind}", 2
    found = path
    while path.exists():
        found = path
        path, number = Path("runs") / f"{name}-{kind}-{number}", number + 1
    return found if again else path


def stored_names(folder: Path) -> dict[str, Any]:
    """The task and the kind of model of the run in a folder, as its settings name them; nothing where there is none."""
    stored = folder / "config.yaml"
    tree = configuration.read_yaml(stored) if stored.exists() else {}
    return {name: tree[name] for name in ("task", "kind") if name in tree}


@contextmanager
def prepare(
    tree: dict[str, Any],
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    say: Say = lambda line: None,
    progress: Progress | None = None,
) -> Iterator[Prepared]:
    """Everything that comes before the first step; the folder is locked for as long as the training is in use.

    Nothing is written before the settings, the folder and the sources are known to be usable, and an old run goes
    only when the new one stands ready.

    Args:
        tree: what a person asked for, as `config.build` takes it; what it leaves open is chosen.
        folder: the run folder.
        resume: take the folder's run up again, with its own settings; begin a run where there is none.
        overwrite: replace the run that is there.
        say: told what was chosen and why, a line at a time.
        progress: told a stage, such as reading the text, and how much of it is done.

    Raises:
        UserError: settings, data or folder are not usable, or not those of the run that is to go on.
    """
    _settings(tree, folder, resume, overwrite)
    with run_folders.lock(folder):
        # Once more: another process may have been quicker.
        settings, going_on = _settings(tree, folder, resume, overwrite)
        if resume and not going_on:
            say(f"there is no run in {folder} yet: beginning one")
        task = TASKS[settings.task]
        if not going_on:
            run_folders.unlink_cache(folder)
        corpus = task.corpus(settings, folder / "cache", say, progress)
        if not going_on:
            settings = _resolved(settings, task, corpus, say, progress)
        torch.manual_seed(settings.train.seed)  # of every device: noise is drawn where the model is
        build = partial(task.build, task.model_config(settings, corpus))
        model = initial_model(build, settings.train.seed).to(settings.train.device)
        training = Training(model, task.objective(settings, corpus), settings.train, settings.budget)
        parameters = sum(p.numel() for p in training.parameters)
        say(f"{settings.kind} with {parameters:,} parameters; {task.describe(corpus)}")
        if going_on:
            _compare_threads(folder, say)
        else:
            run_folders.clear(folder)
            atomic.write_text(folder / "env.json", json.dumps(environment.describe(), indent=1) + "\n")
        # Of a run that goes on too: whatever of it was lost or damaged. The weights come from the checkpoint.
        card = _card(folder, settings, task.usage(folder))
        runs.write_model_folder(folder / "model", settings.task, model, task.codecs(corpus), card)
        # The last: a folder with a config.yaml is a run that can go on.
        atomic.write_text(folder / "config.yaml", settings.to_yaml())
        yield Prepared(folder, settings, training, corpus)


def _settings(tree: dict[str, Any], folder: Path, resume: bool, overwrite: bool) -> tuple[Settings, bool]:
    """The settings, all that can be checked without writing being checked, and whether a run goes on."""
    stored = folder / "config.yaml"
    going_on = resume and stored.exists()
    if going_on:
        settings = _agreed(configuration.build(configuration.read_yaml(stored)), tree, folder)
    else:
        # The settings of another run may be taken for another text.
        data = {key: value for key, value in (tree.get("data") or {}).items() if key != "fingerprint"}
        settings = configuration.build({"budget": DEFAULT_BUDGET} | tree | {"data": data})
        run_folders.check_place(folder, overwrite=overwrite)
    if settings.train.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: torch sees no CUDA device here", remedy="leave it out, or --set device=cpu")
    TASKS[settings.task].check(settings)
    return settings, going_on


def _resolved(settings: Settings, task: Task, corpus: Any, say: Say, progress: Progress | None) -> Settings:
    if progress and settings.budget.unit == "seconds":
        progress("measuring the machine's speed", 0.0)
    choice = task.choose(settings, corpus)
    check_memory(partial(task.build, task.model_config(choice.settings, corpus)), choice.settings.train)
    say(choice.reason)
    data = choice.settings.data.model_copy(update={"fingerprint": corpus.fingerprint})
    return choice.settings.model_copy(update={"data": data})


def _agreed(stored: Settings, tree: dict[str, Any], folder: Path) -> Settings:
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


def _compare_threads(folder: Path, say: Say) -> None:
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


def _card(folder: Path, settings: Settings, usage: str) -> str:
    return f"""# {folder.name}

A model ({settings.kind}, {settings.task}) trained by elman {__version__} on `{settings.data.source}`.

{usage}
All settings, as `elman train --config` takes them:

```yaml
{settings.to_yaml()}```
"""
