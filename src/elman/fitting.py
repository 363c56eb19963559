"""The story of a training, from data to a run: read it from top to bottom.

`fit` is for whoever wants the run, `training` for whoever wants to watch; both and the command line share `train`.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from elman import __version__, atomic, distributed, environment, given, model_folders, run_folders, runs
from elman.display import Display, View
from elman.distributed import ALONE, Ranks
from elman.environment import keep_freed, return_freed
from elman.errors import UserError
from elman.models.initialization import initial_model
from elman.models.weights import check_shapes
from elman.runs import Run
from elman.tasks import TASKS, configuration
from elman.tasks.configuration import OWN, Settings
from elman.tasks.exchange import Progress, Say
from elman.tasks.sizing import check_ram
from elman.tasks.task import Task
from elman.train import loop
from elman.train.schedule import Budget, parse_budget
from elman.train.training import Training

OwnModel = nn.Module | Callable[..., nn.Module]


@dataclass(frozen=True)
class Prepared:
    """The first event: a training ready to start or to go on, with its settings and its corpus."""

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
    model: str | Mapping[str, Any] | OwnModel | None = None,
    budget: str | Mapping[str, Any] | Budget | None = None,
    valid: Any = None,
    task: str = "auto",
    out: str | Path | None = None,
    seed: int | None = None,
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
        model: "lstm" (the default), "gru", "elman", "transformer"; or a torch module of one's own,
            `logits, state = module(tokens, state)`, or a callable that makes one of the size of the vocabulary; or the
            settings of the model, such as `{"hidden_size": 64}`.
        budget: "8s", "2m" (the default), "1h30m", "3 epochs" or "200 steps".
        valid: data to validate on, a tuple of two being sources and targets; else a part of `data` is held out.
        task: the name of the task; with "auto" the data decide.
        out: the run's folder; without one the run lives in a temporary folder that goes with the `Run`.
        seed: a number that decides every draw; 1 by default.
        start: a run whose weights the training begins with; its task, model and codecs are taken too.
        config: settings as `config.yaml` has them: a path, or a mapping such as `{"model": {"hidden_size": 64}}`.
        resume: go on with the run in `out`, exactly; begin it where there is none.
        overwrite: replace the run in `out`.
        progress: show what happens, as `elman train` does, in a terminal or in a notebook.
        settings: further settings by name, such as `hidden_size=64`, or a section: `train={"clip": "none"}`.

    `model`, `budget` and `seed` come before those of `config`, `start` or the run that goes on.

    Raises:
        UserError: data, settings or the folder are not usable, or the loss was never a finite number.

    >>> import elman
    >>> text, chosen = "to be or not to be, " * 100, {"hidden_size": 16, "learning_rate": 0.02}
    >>> run = elman.fit(text, budget="60 steps", progress=False, **chosen)
    >>> run.generate("to be", tokens=15, temperature=0)[0]
    ' or not to be o'
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
    model: str | Mapping[str, Any] | OwnModel | None = None,
    budget: str | Mapping[str, Any] | Budget | None = None,
    valid: Any = None,
    task: str = "auto",
    out: str | Path | None = None,
    seed: int | None = None,
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

    Arguments and errors are those of `fit`, but for `say`, which is told what was chosen and why, `progress`, which is
    told how far the preparation is, and `stop`: the training ends after the step at which `stop()` is true.

    >>> import elman
    >>> for event in elman.training("to be or not to be, " * 100, budget="3 steps", hidden_size=16):
    ...     if isinstance(event, elman.train.Step):
    ...         print(f"step {event.step} of {event.targets} targets, {event.progress:.0%} of the budget")
    step 1 of 448 targets, 0% of the budget
    step 2 of 448 targets, 33% of the budget
    step 3 of 448 targets, 67% of the budget
    >>> event.run.task.name
    'language-modelling'
    """
    tree = configuration.read_yaml(Path(config)) if isinstance(config, str | Path) else dict(config or {})
    own = None
    if isinstance(model, Mapping):
        settings["model"] = model
    elif isinstance(model, nn.Module) or callable(model):
        own, tree["kind"] = model, OWN
    elif model is not None:
        tree["kind"] = str(model)
    if budget is not None:
        tree["budget"] = budget if isinstance(budget, Mapping) else parse_budget(budget)
    if not isinstance(start, Run | str | Path | None):
        raise UserError("start", expected="a run, or the folder of one", got=type(start).__name__, exit_code=2)
    if seed is not None:
        settings["seed"] = seed
    with runs.place_of(out) as folder:
        with given.in_memory() as made:
            begun = runs.load(start, model=own) if isinstance(start, str | Path) else start
            named = given.task_name(task, tree, begun, folder if resume else None)
            files = given.places(data, targets, made, task=named)
            others = given.validation(valid, made, named)

            def told(line: str) -> None:
                say(given.without_places(line, made))

            tree = given.settings_tree(
                tree, settings, task=task, data=files, valid=others, start=begun, resumed=folder if resume else None,
                say=told,
            )  # fmt: skip
            events = train(
                tree, folder, resume=resume, overwrite=overwrite, start=begun, own=own, made=made, say=told,
                progress=progress, stop=stop,
            )  # fmt: skip
            with closing(events):  # before the folder is removed, its lock is released
                yield (prepared := next(events))
                for event in events:
                    yield event
        assert isinstance(prepared, Prepared)
        assert isinstance(event, loop.Finished)
        if not event.step:
            raise UserError("the training was stopped before its first step: nothing was trained")
        check_finite(prepared, event)
        sharded = prepared.training.ranks.together
        run = runs.load(folder, model=own if sharded else prepared.training.model)
    if out is None:
        run.remove_with_me()
    yield Fitted(run)


def train(
    tree: Mapping[str, Any], folder: Path, *, stop: Callable[[], bool] = lambda: False, **options: Any
) -> Generator[Prepared | loop.Event, None, None]:
    """`Prepared`, then the events of the loop; `options` and errors are those of `prepare` and of `loop.fit`.

    Where torch's launcher has started several processes, each of them does this, and they train one model together.
    """
    if distributed.is_launched() and (tree.get("train") or {}).get("sharded"):
        return_freed()
    else:
        keep_freed()
    with distributed.joined() as ranks:
        if given.began_earlier(folder, ranks):  # in an earlier attempt, after which the launcher began anew
            options |= {"resume": True, "overwrite": False}
        with prepare(tree, folder, ranks=ranks, **options) as prepared:
            yield prepared
            yield from loop.fit(prepared.training, folder, stop=stop)


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

    The other arguments, and the errors, are those of `training`.
    """
    if not ranks.first:
        yield _join(folder, start, own, ranks)
        return
    settle = partial(given.settle, tree, folder, resume=resume, overwrite=overwrite, start=start, own=own)
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
                codecs, settings = start.codecs, given.check_vocabulary(settings, start.codecs)
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
                given.compare_threads(folder, say)
            else:
                run_folders.clear(folder, kept=[Path(value) for _, value in settings.data if isinstance(value, str)])
                described = environment.describe() | {"launch": ranks.launch, "attempt": ranks.attempt}
                atomic.write_text(folder / "env.json", json.dumps(described, indent=1) + "\n")
            settings = given.adopt(settings, made, folder)
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
    data = choice.settings.data.model_copy(update={"fingerprint": corpus.fingerprint})
    return choice.settings.model_copy(update={"data": data})


def _model(
    settings: Settings, task: Task, config: dict[str, Any], start: Run | None, own: OwnModel | None
) -> nn.Module:
    """A new model, or somebody's own, with the weights of the run that the training begins from."""
    if start is not None and own is None and settings.kind == OWN:
        own = copy.deepcopy(start.model)
    if settings.train.sharded and distributed.is_launched() and isinstance(own, nn.Module):
        raise UserError("model", expected="a callable that makes one, where it is sharded", got="a module")
    torch.manual_seed(settings.train.seed)  # of every device: noise is drawn where the model is
    build = partial(task.build, config) if own is None else partial(task.own, own, config)
    model = initial_model(build, settings.train.seed).to(settings.train.device)
    if start is not None:
        weights = start.model.state_dict()
        check_shapes(model, {name: tuple(tensor.shape) for name, tensor in weights.items()}, start.path)
        model.load_state_dict(weights)
    return model


def check_finite(prepared: Prepared, finished: loop.Finished) -> None:
    """Raise `UserError` where a training ended and no validation had a loss that is a finite number."""
    if finished.reason != "stopped" and math.isinf(finished.best):
        what = f"no validation of {prepared.folder} had a loss that is a finite number"
        raise UserError(what, remedy="train anew with a lower learning rate (--set learning_rate=...)")
