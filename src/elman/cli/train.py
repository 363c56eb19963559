"""`elman train`: the best model of some data within a budget."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elman.cli import completion, train_arguments
from elman.cli.budget import choose_budget
from elman.cli.console import Display, clock, print_json, say
from elman.cli.signals import Stop
from elman.display import View
from elman.tasks import TASKS

if TYPE_CHECKING:
    from elman.fitting import Prepared
    from elman.train.loop import Finished

COMMAND_CLASS = train_arguments.DataCommand


def command(
    data: train_arguments.Data,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="RUN", help="The run folder.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(completion.models())}; default that of the task, such as lstm.",
            autocompletion=completion.one_of(completion.models),
        ),
    ] = None,
    for_: train_arguments.For = None,
    epochs: train_arguments.Epochs = None,
    steps: train_arguments.Steps = None,
    task: train_arguments.TaskName = "auto",
    valid: train_arguments.Valid = None,
    valid_target: train_arguments.ValidTarget = None,
    tokenizer: train_arguments.Tokenizer = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, another run.", min=0, max=2**63 - 1)] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.yaml", help="Settings from a file.")] = None,
    set_: train_arguments.Set = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN",
            autocompletion=completion.run_folder,
            help="Begin with the weights of a run, its task, model and vocabulary.",
        ),
    ] = None,
    resume: train_arguments.Resume = False,
    overwrite: train_arguments.Overwrite = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object at the end.")] = False,
) -> None:
    """Train a model on DATA: the best one within a budget (2 minutes, unless you say otherwise)."""
    from elman import fitting, given, resuming, run_folders, runs
    from elman.tasks import configuration
    from elman.train.loop import Finished

    validation = train_arguments.check(resume, overwrite, valid, valid_target)
    tree = configuration.read_yaml(config, streams=True) if config else {}
    if model:
        tree["kind"] = model
    if budget := choose_budget(for_, epochs, steps):
        tree["budget"] = budget
    start = runs.load(from_) if from_ else None
    kind = tree.get("kind") or (start.model.kind if start else "")
    usual = TASKS[configuration.DEFAULT_TASK].kind
    if resume:  # what is not said is as the run has it
        tree = resuming.stored_names(out or run_folders.default_folder(data[0], kind or usual, again=True)) | tree
    if start:
        tree = resuming.begun_from(start, tree, task)
    options = {"tokenizer": tokenizer, "seed": seed}
    values = {name: value for name, value in options.items() if value is not None}
    tree = given.settings_tree(tree, task, data, validation, values)
    tree = configuration.set_values(tree, set_ or [])
    kind = kind or configuration.find_task(tree["task"]).kind
    folder = out or run_folders.default_folder(data[0], kind, again=resume or overwrite)
    with Display() as display, ExitStack() as signals:
        view, stop = View(display), Stop()
        events = fitting.train(
            tree, folder, resume=resume, overwrite=overwrite, start=start, say=display.say, progress=display.stage,
            stop=stop,
        )  # fmt: skip
        for event in events:
            view.show(event)
            if isinstance(event, fitting.Prepared):
                prepared = event
                signals.enter_context(stop)
            elif isinstance(event, Finished):
                ended = event
    _report(prepared, ended, as_json)
    fitting.check_finite(prepared, ended)
    # A signal that came when the last step was done has interrupted nothing.
    raise typer.Exit(stop.exit_code if ended.reason == "stopped" else 0)


def _report(prepared: Prepared, finished: Finished, as_json: bool) -> None:
    from elman.metrics.words import words

    training, folder = prepared.training, prepared.folder
    counters = training.counters
    ended = "no gain for a while" if finished.reason == "patience" else f"budget spent: {training.budget}"
    if finished.reason == "stopped":
        say(f"stopped at step {finished.step:,}; everything is saved: go on with --resume -o {folder}")
    elif training.resumed_step == finished.step:
        say(f"{folder} is finished already ({ended}); a larger budget goes on with it (--for, --epochs, --steps)")
    else:
        skipped = f", {counters.skipped} steps skipped" if counters.skipped else ""
        best = f"best validation {training.objective.metric} {words(abs(finished.best))}"  # a score's cost is below 0
        say(f"done in {clock(finished.seconds)} ({ended}); {best}{skipped}")
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
            training.objective.metric: abs(finished.best),
            "skipped": counters.skipped,
        }
        print_json(report)
