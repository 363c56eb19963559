"""`elman train`: the best model of a text within a budget."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elman.cli import completion
from elman.cli.budget import choose_budget
from elman.cli.console import Display, clock, print_json, say
from elman.cli.signals import Stop
from elman.cli.train_arguments import TrainCommand
from elman.display import View
from elman.errors import UserError

if TYPE_CHECKING:
    from elman.fitting import Prepared
    from elman.train.loop import Finished

COMMAND_CLASS = TrainCommand


def command(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA [TARGETS]",
            autocompletion=completion.data,
            help="A text, a folder, JSON lines (.gz, .zst), or python-stdlib. Pairs to translate: two files line by "
            "line, a .tsv, JSON lines with source and target, or a named source such as numbers-en.",
        ),
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="RUN", help="The run folder.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="lstm (the default), gru, elman or transformer.",
            autocompletion=completion.one_of(completion.models),
        ),
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="The budget as wall time: 90s, 2m, 1h30m.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="The budget as passes over the data.", min=0)] = None,
    steps: Annotated[int | None, typer.Option(help="The budget as optimiser steps.", min=1)] = None,
    task: Annotated[
        str,
        typer.Option(
            help=f"{' or '.join(completion.tasks())}; auto: what DATA look like.",
            autocompletion=completion.one_of(lambda: ["auto", *completion.tasks()]),
        ),
    ] = "auto",
    valid: Annotated[
        str | None,
        typer.Option(
            metavar="FILE [TARGETS]",
            autocompletion=completion.data,
            help="Validate on this, given after DATA; else on a part of DATA that is held out.",
        ),
    ] = None,
    valid_target: Annotated[
        str | None, typer.Option(hidden=True, help="What a second file after --valid becomes.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="char, byte, word or bpe; default char, and bpe where pairs are sentences.",
            autocompletion=completion.one_of(completion.tokenizers),
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, another run.", min=0, max=2**63 - 1)] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.yaml", help="Settings from a file.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One setting, as in config.yaml.",
            autocompletion=completion.assignment,
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN",
            autocompletion=completion.run_folder,
            help="Begin with the weights of a run, its task, model and vocabulary.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run; begin it where there is none.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object at the end.")] = False,
) -> None:
    """Train a model on DATA: the best one within a budget (2 minutes, unless you say otherwise)."""
    from elman import fitting, given, resuming, run_folders, runs
    from elman.tasks import configuration
    from elman.train.loop import Finished

    if resume and overwrite:
        raise UserError("--resume and --overwrite exclude each other", exit_code=2)
    if len(data) > 2:
        remedy = "validation files stand after --valid"
        raise UserError("DATA", expected="one file, or two of pairs", got=len(data), remedy=remedy, exit_code=2)
    if valid_target and not valid:
        raise UserError("--valid-target: there is no --valid that it belongs to", exit_code=2)
    tree = configuration.read_yaml(config, streams=True) if config else {}
    if model:
        tree["kind"] = model
    if budget := choose_budget(for_, epochs, steps):
        tree["budget"] = budget
    start = runs.load(from_) if from_ else None
    kind = tree.get("kind", start.model.kind if start else "lstm")
    folder = out or run_folders.default_folder(data[0], kind, again=resume or overwrite)
    if resume:  # what is not said is as the run has it
        tree = resuming.stored_names(folder) | tree
    if start:
        tree = resuming.begun_from(start, tree, task)
    options = {"tokenizer": tokenizer, "seed": seed}
    values = {name: value for name, value in options.items() if value is not None}
    tree = given.settings_tree(tree, task, data, [place for place in (valid, valid_target) if place], values)
    tree = configuration.set_values(tree, set_ or [])
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
    from elman.tasks import TASKS

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
