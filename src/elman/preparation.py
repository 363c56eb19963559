"""Everything before the first step of a training: its corpus, the sizes of its model, its objective, its folder."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from elman import __version__, atomic, data_in_memory, environment, launcher, model_folders, resuming, run_folders
from elman.distributed import ALONE, Ranks
from elman.errors import UserError
from elman.models.initialization import initial_model
from elman.models.weights import check_shapes
from elman.runs import Run
from elman.tasks import TASKS, configuration
from elman.tasks.configuration import OWN, Settings
from elman.tasks.exchange import Progress, Say
from elman.tasks.sizing import check_ram
from elman.tasks.task import Task
from elman.train.training import Training

OwnModel = nn.Module | Callable[..., nn.Module]


@dataclass(frozen=True)
class Prepared:
    """The first event: a training ready to start or to go on, with its settings and its corpus."""

    folder: Path
    settings: Settings
    training: Training
    corpus: Any


@contextmanager
def prepare(
    tree: Mapping[str, Any],
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    start: Run | None = None,
    own: OwnModel | None = None,
    made: Path | None = None,
    say: Say = lambda line: None,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Prepared]:
    """Everything before the first step: corpus, sizes, model, objective. The run folder is locked until the end.

    Of several ranks the first prepares, and writes what the others need; see `_join`.

    Nothing is written before the settings, the folder and the sources are known to be usable, and an old run is
    removed only when the new one stands ready.

    Args:
        tree: settings as `configuration.build` takes them; those that are left open are chosen.
        made: the folder of data that came from memory; they become files of the run.

    The other arguments, and the errors, are those of `fitting.training`.
    """
    if not ranks.first:
        yield _join(folder, start, own, ranks)
        return
    settle = partial(resuming.settle, tree, folder, resume=resume, overwrite=overwrite, start=start, own=own)
    with ExitStack() as until_the_end:
        with ExitStack() as waiting:
            waiting.enter_context(ranks.while_others_wait())
            settle()
            until_the_end.enter_context(run_folders.lock(folder))
            settings, going_on = settle()  # once more: another process may have been quicker
            start = None if going_on else start
            if resume and not going_on:
                say(f"there is no run in {folder} yet: beginning one")
            if not going_on:
                run_folders.unlink_cache(folder)
            task = TASKS[settings.task]
            codecs: Mapping[str, Any] = {}  # where none are given, the corpus makes them
            if start is not None:
                codecs, settings = start.codecs, resuming.check_vocabulary(settings, start.codecs)
            elif going_on and settings.start:
                codecs = model_folders.read_codecs(folder)
            corpus = task.corpus(settings, folder / "cache", say, progress, codecs)
            if ranks.size > 1:  # the data are there: where the machine's speed decides, all measure it together
                waiting.close()
                measuring = not going_on and settings.budget.unit == "seconds"
                ranks.texts([settings.model_dump_json(exclude_unset=True)] if measuring else [])
                waiting.enter_context(ranks.while_others_wait())
            if not going_on:
                settings = _sized(settings, task, corpus, say, progress)
            config = task.model_config(settings, corpus)
            model = _model(settings, task, config, start, own)
            if not going_on and start is None and own is None:
                task.begin(model, settings, corpus)
            objective = task.objective(settings, corpus)
            parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
            say(f"{settings.kind} with {parameters:,} parameters; {task.describe(corpus)}")
            if going_on:
                resuming.compare_threads(folder, say)
            else:
                _clear(folder, settings, ranks)
            settings = data_in_memory.adopt(settings, made, folder)
            # A run that goes on gets its model/ again, which may be lost or damaged; the checkpoint has the weights.
            model_folders.write(folder / "model", settings, config, task.codecs(corpus))
            # config.yaml is written last: a folder that has one is a run that can go on.
            atomic.write_text(folder / "config.yaml", settings.to_yaml())
        yield _begun(folder, settings, corpus, model, objective, ranks)


def _join(folder: Path, start: Run | None, own: OwnModel | None, ranks: Ranks) -> Prepared:
    """What rank 0 has prepared, as another rank makes it from the run folder, which all of them see."""
    ranks.wait_for_first()
    if asked := ranks.texts([])[0]:
        settings = configuration.build(json.loads(asked[0]))
        codecs = {} if start is None else start.codecs
        task = TASKS[settings.task]
        task.choose(settings, task.corpus(settings, folder / "cache", lambda line: None, None, codecs))
    ranks.wait_for_first()
    settings = configuration.read_settings(folder)
    task = TASKS[settings.task]
    codecs = model_folders.read_codecs(folder) if settings.start else {}
    corpus = task.corpus(settings, folder / "cache", lambda line: None, None, codecs)
    model = _model(settings, task, task.model_config(settings, corpus), start, own)
    return _begun(folder, settings, corpus, model, task.objective(settings, corpus), ranks)


def _begun(folder: Path, settings: Settings, corpus: Any, model: nn.Module, objective: Any, ranks: Ranks) -> Prepared:
    """The training of a model on an objective. Raises `UserError` where ranks differ in what must be the same."""
    facts = {"elman": __version__, "torch": torch.__version__, "threads": torch.get_num_threads()}
    ranks.check_same(facts | {"data": corpus.fingerprint, "settings": settings.to_yaml()})
    return Prepared(folder, settings, Training(model, objective, settings.train, settings.budget, ranks=ranks), corpus)


def _sized(settings: Settings, task: Task, corpus: Any, say: Say, progress: Progress | None) -> Settings:
    """The settings with nothing left open: the sizes of the model follow from the budget and the corpus."""
    if progress and settings.budget.unit == "seconds":
        progress("measuring the machine's speed", 0.0)
    choice = task.choose(settings, corpus)
    if settings.kind != OWN:
        check_ram(partial(task.build, task.model_config(choice.settings, corpus)), choice.settings.train)
    say(choice.reason)
    return choice.settings.with_data({"fingerprint": corpus.fingerprint})


def _clear(folder: Path, settings: Settings, ranks: Ranks) -> None:
    """Remove an old run, but not the data of the new one, and say what the new one runs on."""
    run_folders.clear(folder, kept=[Path(value) for _, value in settings.data if isinstance(value, str)])
    described = environment.describe() | {"launch": ranks.launch, "attempt": ranks.attempt}
    atomic.write_text(folder / "env.json", json.dumps(described, indent=1) + "\n")


def _model(
    settings: Settings, task: Task, config: dict[str, Any], start: Run | None, own: OwnModel | None
) -> nn.Module:
    """A new model, or somebody's own, with the weights of the run that the training begins from."""
    if start is not None and own is None and settings.kind == OWN:
        own = copy.deepcopy(start.model)
    if settings.train.sharded and launcher.is_launched() and isinstance(own, nn.Module):
        raise UserError("model", expected="a callable that makes one, where it is sharded", got="a module")
    torch.manual_seed(settings.train.seed)  # of every device: noise is drawn where the model is
    build = partial(task.build, config) if own is None else partial(task.own, own, config)
    model = initial_model(build, settings.train.seed).to(settings.train.device)
    if start is not None:
        weights = start.model.state_dict()
        check_shapes(model, {name: tuple(tensor.shape) for name, tensor in weights.items()}, start.path)
        model.load_state_dict(weights)
    return model
