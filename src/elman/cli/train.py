"""`elman train`: the best model of some data within a budget."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elman import launcher
from elman.cli import completion, options
from elman.cli.signals import Stop
from elman.display import Display, View, clock, print_json, say
from elman.errors import UserError
from elman.tasks import TASKS
from elman.wording import counted

if TYPE_CHECKING:
    from elman.preparation import Prepared
    from elman.train.events import Finished

COMMAND_CLASS = options.DataCommand


def command(
    data: options.Data,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="RUN", help="The run folder.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(completion.models())}. Default lstm, unless the task has another one.",
            autocompletion=completion.one_of(completion.models),
        ),
    ] = None,
    for_: options.For = None,
    epochs: options.Epochs = None,
    steps: options.Steps = None,
    task: options.TaskName = "auto",
    valid: options.Valid = None,
    valid_target: options.ValidTarget = None,
    tokenizer: options.Tokenizer = None,
    horizon: options.Horizon = None,
    seed: Annotated[
        int | None, typer.Option(help="A number that decides every draw. Default 1.", min=0, max=2**63 - 1)
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.yaml", help="Settings, as in config.yaml.")] = None,
    set_: options.Set = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN",
            autocompletion=completion.run_folder,
            help="Begin with the weights of RUN, its task, model and vocabulary.",
        ),
    ] = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    processes: Annotated[
        int, typer.Option(help="Train with so many processes on this machine, which share the cores.", min=1, max=1024)
    ] = 1,
    as_json: options.Json = False,
) -> None:
    """Train a model on DATA: the best one within a budget (2 minutes, unless you say otherwise)."""
    from elman import fitting, given, run_folders, runs
    from elman.preparation import Prepared
    from elman.tasks import configuration
    from elman.train.events import Finished

    launching = processes > 1 and not launcher.is_launched()
    told = say if launcher.is_first() and not launching else (lambda line: None)
    if launcher.is_launched() and out is None:
        raise UserError("-o RUN", expected="a folder that all processes see", got="none", exit_code=2)
    validation = options.check(resume, overwrite, valid, valid_target)
    tree = configuration.read_yaml(config, streams=True) if config else {}
    if model:
        tree["kind"] = model
    if budget := options.choose_budget(for_, epochs, steps):
        tree["budget"] = budget
    start = runs.load(from_) if from_ else None
    if out is None:
        if start is None:
            task = (chosen := given.choose_task(task, tree, data, validation, told, set_ or ())).name
        kind = start.config["model"]["model"] if start else chosen.kind
        out = run_folders.default_folder(data[0], tree.get("kind", kind), again=resume or overwrite)
    values = {"tokenizer": tokenizer, "seed": seed, "horizon": horizon}
    named = {name: value for name, value in values.items() if value is not None}
    tree = given.settings_tree(
        tree, named, task=task, data=data, valid=validation, start=start, resumed=out if resume else None, say=told,
        settings=set_ or (),
    )  # fmt: skip
    tree = configuration.set_values(tree, set_ or [])
    if launching:
        from elman.cli.processes import launch

        raise typer.Exit(launch(processes, [*sys.argv[1:], "--out", str(out)]))
    with Display(quiet=not launcher.is_first()) as display, ExitStack() as signals:
        view, stop = View(display), Stop()
        for event in fitting.train(
            tree, out, resume=resume, overwrite=overwrite, start=start, say=display.say, progress=display.stage,
            stop=stop,
        ):  # fmt: skip
            view.show(event)
            if isinstance(event, Prepared):
                prepared = event
                signals.enter_context(stop)
            elif isinstance(event, Finished):
                finished = event
    if launcher.is_first():
        _report(prepared, finished, as_json, view)
    fitting.check_finite(prepared, finished)
    # A signal that came when the last step was done has interrupted nothing.
    raise typer.Exit(stop.exit_code if finished.reason == "stopped" else 0)


def _report(prepared: Prepared, finished: Finished, as_json: bool, view: View) -> None:
    from elman.metrics.words import words

    training, folder = prepared.training, prepared.folder
    counters, metric = training.counters, training.objective.metric
    best = finished.best if metric == "loss" else abs(finished.best)  # the cost of a score is below 0
    ended = "no gain for a while" if finished.reason == "patience" else f"budget spent: {training.budget}"
    if finished.reason == "stopped":
        say(f"stopped at step {finished.step:,}; everything is saved: go on with --resume -o {folder}")
    elif training.resumed_step == finished.step:
        say(f"{folder} is finished already ({ended}); a larger budget goes on with it (--for, --epochs, --steps)")
    else:
        skipped = f", {counted(counters.skipped, 'step')} skipped" if counters.skipped else ""
        say(f"done in {clock(finished.seconds)} ({ended}); best validation {metric} {words(best)}{skipped}")
        use = [name for name in TASKS[prepared.settings.task].options if name != "evaluate"] or ["evaluate"]
        say(f"the model is in {folder}/model; try `elman {use[0]} {folder}`")
    if as_json:
        report = {
            "run": str(folder),
            "reason": finished.reason,
            "task": prepared.settings.task,
            "model": prepared.settings.kind,
            "parameters": sum(p.numel() for p in training.parameters),
            "steps": finished.step,
            "epochs": training.epochs,
            "tokens": counters.targets,
            "seconds": round(finished.seconds, 3),
            metric: best,
            "skipped": counters.skipped,
        }
        if view.slowest:
            report |= {"slowest_rank": view.slowest[0], "step_seconds": [round(each, 6) for each in view.computing]}
        print_json(report)
