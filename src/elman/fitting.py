"""The story of a training, from data to a run: read it from top to bottom.

`fit` is for whoever wants the run, `training` for whoever wants to watch; both and the command line share `train`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from elman import data_in_memory, distributed, given, launcher, resuming, runs
from elman.display import Display, View
from elman.environment import keep_freed, return_freed
from elman.errors import UserError
from elman.preparation import OwnModel, Prepared, prepare
from elman.runs import Run
from elman.tasks import configuration
from elman.tasks.configuration import OWN
from elman.tasks.exchange import Progress, Say
from elman.train import loop
from elman.train.events import Event as LoopEvent
from elman.train.events import Finished
from elman.train.schedule import Budget, parse_budget


@dataclass(frozen=True)
class Fitted:
    """The last event: the run."""

    run: Run


Event = Prepared | LoopEvent | Fitted


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
    tree, own = _asked(config, model, budget)
    if isinstance(model, Mapping):
        settings["model"] = model
    if seed is not None:
        settings["seed"] = seed
    if not isinstance(start, Run | str | Path | None):
        raise UserError("start", expected="a run, or the folder of one", got=type(start).__name__, exit_code=2)
    with runs.place_of(out) as folder:
        with data_in_memory.in_memory() as made:
            begun = runs.load(start, model=own) if isinstance(start, str | Path) else start
            named = given.task_name(task, tree, begun, folder if resume else None)
            files = data_in_memory.places(data, targets, made, task=named)
            others = data_in_memory.validation(valid, made, named)

            def told(line: str) -> None:
                say(data_in_memory.without_places(line, made))

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
        assert isinstance(event, Finished)
        if not event.step:
            raise UserError("the training was stopped before its first step: nothing was trained")
        check_finite(prepared, event)
        sharded = prepared.training.ranks.together
        run = runs.load(folder, model=own if sharded else prepared.training.model)
    if out is None:
        run.remove_with_me()
    yield Fitted(run)


def _asked(
    config: str | Path | Mapping[str, Any] | None,
    model: str | Mapping[str, Any] | OwnModel | None,
    budget: str | Mapping[str, Any] | Budget | None,
) -> tuple[dict[str, Any], OwnModel | None]:
    """The settings of `config` with the kind of model and the budget, and a person's own model, if it is one."""
    tree = configuration.read_yaml(Path(config)) if isinstance(config, str | Path) else dict(config or {})
    own = None
    if isinstance(model, nn.Module) or (callable(model) and not isinstance(model, Mapping)):
        own, tree["kind"] = model, OWN
    elif model is not None and not isinstance(model, Mapping):
        tree["kind"] = str(model)
    if budget is not None:
        tree["budget"] = budget if isinstance(budget, Mapping) else parse_budget(budget)
    return tree, own


def train(
    tree: Mapping[str, Any], folder: Path, *, stop: Callable[[], bool] = lambda: False, **options: Any
) -> Generator[Prepared | LoopEvent, None, None]:
    """`Prepared`, then the events of the loop; `options` and errors are those of `prepare` and of `loop.fit`.

    Where torch's launcher has started several processes, each of them does this, and they train one model together.
    """
    if launcher.is_launched() and (tree.get("train") or {}).get("sharded"):
        return_freed()
    else:
        keep_freed()
    with distributed.joined() as ranks:
        if resuming.began_earlier(folder, ranks):  # in an earlier attempt, after which the launcher began anew
            options |= {"resume": True, "overwrite": False}
        with prepare(tree, folder, ranks=ranks, **options) as prepared:
            yield prepared
            yield from loop.fit(prepared.training, folder, stop=stop)


def check_finite(prepared: Prepared, finished: Finished) -> None:
    """Raise `UserError` where a training ended and no validation had a loss that is a finite number."""
    if finished.reason != "stopped" and math.isinf(finished.best):
        what = f"no validation of {prepared.folder} had a loss that is a finite number"
        raise UserError(what, remedy="train anew with a lower learning rate (--set learning_rate=...)")
