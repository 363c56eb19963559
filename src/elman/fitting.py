"""The story of a training, from data to a run: read it from top to bottom.

`fit` is for whoever wants the run, `training` for whoever wants to watch; `train` is what both and the command share.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from elman import atomic, environment, given, model_folders, resuming, run_folders, runs
from elman.display import Display, View
from elman.errors import UserError
from elman.models.initial import initial_model
from elman.runs import Run
from elman.tasks import TASKS, configuration
from elman.tasks.configuration import OWN, Settings
from elman.tasks.sizing import check_memory
from elman.tasks.task import Progress, Say, Task
from elman.train import loop
from elman.train.memory import keep_freed
from elman.train.schedule import Budget, parse_budget
from elman.train.training import Training


class Default(str):
    """A default of `fit`, which what `config`, `start` or a run that goes on say comes before."""


class DefaultSeed(int):
    """As `Default`, a number."""


MODEL, BUDGET, SEED = Default("lstm"), Default("2m"), DefaultSeed(1)
Model = str | nn.Module | Callable[..., nn.Module]


@dataclass(frozen=True)
class Prepared:
    """The first event: a training ready to start or to go on, and what it was made from."""

    folder: Path
    settings: Settings
    training: Training
    corpus: Any


@dataclass(frozen=True)
class Fitted:
    """The last event: the run."""

    run: Run


Event = Prepared | loop.Event | Fitted


def fit(
    data: Any,
    targets: Any = None,
    *,
    model: Model = MODEL,
    budget: str | Budget = BUDGET,
    valid: Any = None,
    task: str = "auto",
    out: str | Path | None = None,
    seed: int = SEED,
    start: Run | str | Path | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Train a model on data: the best one within a budget.

    Args:
        data: a path, a named source such as "python-stdlib", a text, a list of texts (documents), or a list of pairs
            of texts to translate. A `str` that is neither a path nor a name is the text itself.
        targets: what `data` are translated to, where they are in a second file or list.
        model: "lstm", "gru", "elman", "transformer"; or a torch module of one's own, `logits, state = module(tokens,
            state)`, or a callable that makes one of the size of the vocabulary.
        budget: "8s", "2m", "1h30m", "3 epochs" or "200 steps".
        valid: data to validate on, a tuple of two being sources and targets; else a part of `data` is held out.
        task: its name; "auto": what the data look like.
        out: the run's folder; without one the run lives in a temporary folder that goes with the `Run`.
        seed: another one gives another run.
        start: a run whose weights the training begins with; its task, model and codecs are taken too.
        config: settings as `config.yaml` has them: a path, or a mapping such as `{"model": {"hidden_size": 64}}`.
        resume: go on with the run in `out`, exactly; begin it where there is none.
        overwrite: replace the run in `out`.
        progress: show what happens, as `elman train` does, in a terminal or in a notebook.
        settings: further settings by name, such as `hidden_size=64`, or a section: `train={"clip": "none"}`.

    Raises:
        UserError: data, settings or the folder are not usable, or the loss was never a finite number.
    """
    with Display(quiet=not progress) as display:
        view = View(display)
        for event in training(
            data, targets, model=model, budget=budget, valid=valid, task=task, out=out, seed=seed, start=start,
            config=config, resume=resume, overwrite=overwrite, say=display.say, progress=display.stage, **settings,
        ):  # fmt: skip
            view.show(event)
    assert isinstance(event, Fitted)
    return event.run


def training(
    data: Any,
    targets: Any = None,
    *,
    model: Model = MODEL,
    budget: str | Budget = BUDGET,
    valid: Any = None,
    task: str = "auto",
    out: str | Path | None = None,
    seed: int = SEED,
    start: Run | str | Path | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    say: Say = lambda line: None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Iterator[Event]:
    """The events of a training: `Prepared`, those of `elman.train.loop.fit`, and `Fitted`, which carries the run.

    Arguments and errors are those of `fit`, but for `say`, told what was chosen and why, `progress`, told how far the
    preparation is, and `stop`, which ends the training after a step.
    """
    tree = configuration.read_yaml(Path(config)) if isinstance(config, str | Path) else dict(config or {})
    if model is not MODEL:
        tree["kind"] = model if isinstance(model, str) else OWN
    if budget is not BUDGET:
        tree["budget"] = asdict(parse_budget(budget))
    if seed is not SEED:
        settings["seed"] = seed
    own = None if isinstance(model, str) else model
    folder = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="elman-"))
    try:
        with tempfile.TemporaryDirectory(prefix="elman-") as made:
            files = given.places(data, targets, Path(made), say=say)
            others = given.validation(valid, Path(made), say)
            if resume:  # what is not said is as the run has it
                tree = resuming.stored_names(folder) | tree
            begun = runs.load(start, model=own) if isinstance(start, str | Path) else start
            if begun is not None:
                tree = resuming.begun_from(begun, tree, task)
            tree = given.settings_tree(tree, task, files, others, settings)
            events = train(
                tree, folder, resume=resume, overwrite=overwrite, start=begun, own=own, made=Path(made), say=say,
                progress=progress, stop=stop,
            )  # fmt: skip
            with closing(events):  # the folder is not locked any more before it is removed
                yield (prepared := next(events))
                for event in events:
                    yield event
        assert isinstance(prepared, Prepared)
        assert isinstance(event, loop.Finished)
        check_finite(prepared, event)
        run = runs.load(folder, model=prepared.training.model)
    except BaseException:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if out is None:
        run.remove_with_me()
    yield Fitted(run)


def train(
    tree: dict[str, Any], folder: Path, *, stop: Callable[[], bool] = lambda: False, **options: Any
) -> Generator[Prepared | loop.Event, None, None]:
    """`Prepared`, then the events of the loop; `options` and errors are those of `prepare` and of `loop.fit`."""
    keep_freed()
    with prepare(tree, folder, **options) as prepared:
        yield prepared
        yield from loop.fit(prepared.training, folder, stop=stop)


@contextmanager
def prepare(
    tree: dict[str, Any],
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    start: Run | None = None,
    own: nn.Module | Callable[..., nn.Module] | None = None,
    made: Path | None = None,
    say: Say = lambda line: None,
    progress: Progress | None = None,
) -> Iterator[Prepared]:
    """Everything that comes before the first step; the folder is locked for as long as the training is in use.

    Nothing is written before the settings, the folder and the sources are known to be usable, and an old run goes
    only when the new one stands ready.

    Args:
        tree: what a person asked for, as `configuration.build` takes it; what it leaves open is chosen.
        folder: the run folder.
        resume: take the folder's run up again, with its own settings; begin a run where there is none.
        overwrite: replace the run that is there.
        start: the run whose codecs and weights the training begins with.
        own: somebody's own model, or what makes it.
        made: where data that came from memory were written; they become files of the run.
        say: told what was chosen and why, a line at a time.
        progress: told a stage, such as reading the text, and how much of it is done.

    Raises:
        UserError: settings, data or folder are not usable, or not those of the run that is to go on.
    """
    resuming.settle(tree, folder, resume, overwrite, start, own)
    with run_folders.lock(folder):
        # Once more: another process may have been quicker.
        settings, going_on = resuming.settle(tree, folder, resume, overwrite, start, own)
        if resume and not going_on:
            say(f"there is no run in {folder} yet: beginning one")
        task = TASKS[settings.task]
        codecs: Mapping[str, Any] = resuming.begun_codecs(settings, folder) if going_on else {}
        if not going_on:
            run_folders.unlink_cache(folder)
        if start and not going_on:
            codecs, settings = start.codecs, resuming.check_codecs(settings, start.codecs)
            if settings.kind == OWN and own is None:
                own = copy.deepcopy(start.model)
        corpus = task.corpus(settings, folder / "cache", say, progress, codecs)
        if not going_on:
            settings = _resolved(settings, task, corpus, say, progress)
        torch.manual_seed(settings.train.seed)  # of every device: noise is drawn where the model is
        config = task.model_config(settings, corpus)
        build = partial(task.build, config) if own is None else partial(task.own, own, config)
        model = initial_model(build, settings.train.seed).to(settings.train.device)
        if start and not going_on:
            resuming.copy_weights(start, model)
        training = Training(model, task.objective(settings, corpus), settings.train, settings.budget)
        parameters = sum(p.numel() for p in training.parameters)
        say(f"{settings.kind} with {parameters:,} parameters; {task.describe(corpus)}")
        if going_on:
            resuming.compare_threads(folder, say)
        else:
            run_folders.clear(folder, kept=[Path(value) for _, value in settings.data if isinstance(value, str)])
            atomic.write_text(folder / "env.json", json.dumps(environment.describe(), indent=1) + "\n")
        settings = given.adopt(settings, made, folder)
        # Of a run that goes on too: whatever of it was lost or damaged. The weights come from the checkpoint.
        model_folders.write(folder / "model", settings, config, task.codecs(corpus))
        # The last: a folder with a config.yaml is a run that can go on.
        atomic.write_text(folder / "config.yaml", settings.to_yaml())
        yield Prepared(folder, settings, training, corpus)


def check_finite(prepared: Prepared, finished: loop.Finished) -> None:
    """Errors: `UserError` where a training came to its end and no validation had a loss that is a finite number."""
    if finished.reason != "stopped" and math.isinf(finished.best):
        what = f"no validation of {prepared.folder} had a loss that is a finite number"
        raise UserError(what, remedy="train anew with a lower learning rate (--set learning_rate=...)")


def _resolved(settings: Settings, task: Task, corpus: Any, say: Say, progress: Progress | None) -> Settings:
    if progress and settings.budget.unit == "seconds":
        progress("measuring the machine's speed", 0.0)
    choice = task.choose(settings, corpus)
    if settings.kind != OWN:
        check_memory(partial(task.build, task.model_config(choice.settings, corpus)), choice.settings.train)
    say(choice.reason)
    data = choice.settings.data.model_copy(update={"fingerprint": corpus.fingerprint})
    return choice.settings.model_copy(update={"data": data})
