"""`elman train`: the best model of a text within a budget."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli import completion
from elman.cli.budget import choose_budget
from elman.cli.console import Display, clock, print_json, say
from elman.cli.signals import Stop
from elman.cli.train_arguments import TrainCommand, choose_task
from elman.errors import UserError

if TYPE_CHECKING:
    from elman.fitting import Prepared
    from elman.train.loop import Event, Finished

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
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run; begin it where there is none.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object at the end.")] = False,
) -> None:
    """Train a model on DATA: the best one within a budget (2 minutes, unless you say otherwise)."""
    from elman import fitting
    from elman.environment import keep_freed
    from elman.tasks import configuration as settings

    keep_freed()
    if resume and overwrite:
        raise UserError("--resume and --overwrite exclude each other", exit_code=2)
    tree = settings.read_yaml(config, streams=True) if config else {}
    if model:
        tree["kind"] = model
    if budget := choose_budget(for_, epochs, steps):
        tree["budget"] = budget
    folder = out or fitting.default_folder(data[0], tree.get("kind", "lstm"), again=resume or overwrite)
    if resume:  # what is not said is as the run has it
        tree = fitting.stored_names(folder) | tree
    files = choose_task(tree, task, data, valid, valid_target)
    given: dict[str, dict[str, Any]] = {
        "data": files | {"tokenizer": tokenizer},
        "train": {"seed": seed},
    }
    for section, values in given.items():
        tree[section] = (tree.get(section) or {}) | {k: v for k, v in values.items() if v is not None}
    tree = settings.set_values(tree, set_ or [])
    with (
        Display() as display,
        fitting.prepare(
            tree, folder, resume=resume, overwrite=overwrite, say=display.say, progress=display.stage
        ) as prepared,
        Stop() as stop,
    ):
        ended = _train(prepared, display, stop)
    _report(prepared, ended, as_json)
    if ended.reason != "stopped" and math.isinf(ended.best):
        what = f"no validation of {prepared.folder} had a loss that is a finite number"
        raise UserError(what, remedy="train anew with a lower learning rate (--set learning_rate=...)")
    # A signal that came when the last step was done has interrupted nothing.
    raise typer.Exit(stop.exit_code if ended.reason == "stopped" else 0)


def _train(prepared: Prepared, display: Display, stop: Stop) -> Finished:
    from elman.train.loop import Finished, fit

    view = View(prepared, display)
    for event in fit(prepared.training, prepared.folder, stop=stop):
        view.show(event)
        if isinstance(event, Finished):
            return event
    raise AssertionError("fit ends with Finished")


class View:
    """Shows a training's events to a person."""

    def __init__(self, prepared: Prepared, display: Display) -> None:
        self.prepared, self.display = prepared, display
        self.loss = float("nan")
        self.validation = ""
        self.since = 0.0  # the end of the step before, by the clock; 0: there is none to measure from
        self.rate = 0.0

    def show(self, event: Event) -> None:
        """Show one event."""
        from elman.metrics.words import words
        from elman.train import loop
        from elman.train.training import Step

        if isinstance(event, Step):
            # A mean over the last few dozen steps: single ones jump about.
            if math.isfinite(event.loss):
                self.loss = event.loss if math.isnan(self.loss) else self.loss + 0.03 * (event.loss - self.loss)
            now = time.perf_counter()
            if self.since:
                rate = event.targets / (now - self.since)
                self.rate = rate if not self.rate else self.rate + 0.05 * (rate - self.rate)
            self.since = now
            text = f"loss {self.loss:.3f}{self.validation}  {self.rate:,.0f} tokens/s  step {event.step:,}"
            self.display.stage("training", min(event.progress, 1.0), text)
            if event.skipped:
                self.display.say(f"step {event.step:,}: the loss or its gradient was not finite; skipped")
        elif isinstance(event, loop.Validated):
            self.validation = f"  valid {words(event.metrics['loss'], 3)}"
            self.since = 0.0
            mark = "  best so far" if event.improved else ""
            text = self.prepared.training.objective.describe(event.metrics)
            self.display.say(f"step {event.step:>6,}  train {self.loss:.4f}  valid {text}{mark}")
        elif isinstance(event, loop.Resumed):
            self.display.say(f"resuming from step {event.step:,}")
        elif isinstance(event, loop.Warned):
            self.display.say(f"warning: {event.text}")


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
