"""`elman compare`: several models on the same data, with the same budget."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from elman.cli import bounds, completion, train_arguments
from elman.cli.budget import choose_budget
from elman.cli.console import Display, clock, print_json, say
from elman.cli.signals import Stop
from elman.tasks import TASKS

if TYPE_CHECKING:
    from elman.compare.plan import Match, Plan
    from elman.compare.store import Store

USUAL = ("elman", "gru", "lstm", "transformer")
COMMAND_CLASS = train_arguments.DataCommand


def command(
    data: train_arguments.Data,
    models: Annotated[
        str | None,
        typer.Option(
            help=f"Kinds of model, with commas; default {', '.join(USUAL)}, as far as the task has them.",
            autocompletion=completion.several_of(completion.models),
        ),
    ] = None,
    match: Annotated[
        str,
        typer.Option(
            help="What is the same for all: parameters (and budget), time, tokens or flops.",
            autocompletion=completion.one_of(completion.matches),
        ),
    ] = "parameters",
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FOLDER", help="The comparison's folder.")] = None,
    for_: train_arguments.For = None,
    epochs: train_arguments.Epochs = None,
    steps: train_arguments.Steps = None,
    parameters: Annotated[
        int | None,
        typer.Option(help="Of each model, within 2 %; default: what suits the budget.", min=1, max=bounds.PARAMETERS),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each model.", min=1, max=bounds.SEEDS)] = 1,
    trials: Annotated[
        int,
        typer.Option(help="Learning rates tried a model, each for a quarter of the budget.", min=0, max=bounds.TRIALS),
    ] = 0,
    task: train_arguments.TaskName = "auto",
    valid: train_arguments.Valid = None,
    valid_target: train_arguments.ValidTarget = None,
    tokenizer: train_arguments.Tokenizer = None,
    seed: Annotated[int, typer.Option(help="The first seed.", min=0, max=2**62)] = 1,
    set_: train_arguments.Set = None,
    resume: train_arguments.Resume = False,
    overwrite: train_arguments.Overwrite = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare models on DATA: the same data, tokenizer and budget of each training; intervals, a table and a report.

    The first table depends on the seed alone where the budget is in steps or epochs. The second table depends on the
    clock and on other work on the machine, which is measured, and named where that work may have decided a result.
    """
    from elman.compare.comparison import compare
    from elman.compare.plan import DEFAULT_BUDGET, DEFAULT_EPOCHS, Plan
    from elman.compare.training import Stopped
    from elman.environment import keep_freed
    from elman.given import choose_task
    from elman.run_folders import default_folder
    from elman.train.schedule import Budget

    keep_freed()
    validation = train_arguments.check(resume, overwrite, valid, valid_target)
    given = choose_budget(for_, epochs, steps)
    chosen: dict[str, Any] = {}
    choose_task(chosen, task, data, validation)
    able = TASKS[chosen["task"]].models
    usual = [kind for kind in USUAL if kind in able] or sorted(able)
    plan = Plan(
        data=tuple(data),
        models=tuple(filter(None, usual if models is None else map(str.strip, models.split(",")))),
        match=cast("Match", match),  # the plan refuses any other word
        budget=Budget(**given) if given else DEFAULT_EPOCHS if match in ("tokens", "flops") else DEFAULT_BUDGET,
        parameters=parameters,
        seeds=seeds,
        trials=trials,
        seed=seed,
        valid=tuple(validation),
        tokenizer=tokenizer,
        settings=tuple(set_ or ()),
        task=chosen["task"],
    )
    folder = out or default_folder(data[0], "comparison", again=resume or overwrite)
    begun = time.perf_counter()
    with Display() as display, Stop() as stop:
        comparing = partial(compare, say=display.say, progress=display.stage, stop=stop)
        try:
            store = comparing(plan, folder, resume=resume, overwrite=overwrite)
        except Stopped:
            display.say(f"stopped; everything is saved: go on with --resume -o {folder}")
            raise typer.Exit(stop.exit_code) from None
    _report(plan, store, as_json, time.perf_counter() - begun)


def _report(plan: Plan, store: Store, as_json: bool, seconds: float) -> None:
    from elman import atomic
    from elman.compare import conclusion, drawing
    from elman.compare.outcomes import cells, clock_rows, clocks, outcomes, result_rows
    from elman.report import aligned

    place = store.folder / "report.html"
    atomic.write_text(place, drawing.html(plan, store))
    say(f"the report is in {place} ({clock(seconds)})")
    if as_json:
        print_json(conclusion.summary(plan, store))
        return
    ranked, measured = outcomes(plan, store.known), clocks(plan, store.timing)
    task = TASKS[plan.task]
    tables = cells(result_rows(ranked, task)), cells(clock_rows(measured, task))
    results, times = (aligned([headings, *rows]) if rows else [] for headings, rows in tables)
    said = conclusion.sentences(plan, ranked, measured)
    print(*results, "", *said, "", *times, *conclusion.clock_notes(measured), sep="\n")
