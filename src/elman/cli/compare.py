"""`elman compare`: several models on the same data, with the same budget."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from elman.cli import completion, options
from elman.cli.signals import Stop
from elman.display import Display, clock, print_json, say
from elman.tasks import TASKS

if TYPE_CHECKING:
    from elman.compare.plan import Match, Plan
    from elman.compare.store import Store

USUAL = ("elman", "gru", "lstm", "transformer")
COMMAND_CLASS = options.DataCommand


def command(
    data: options.Data,
    models: Annotated[
        str | None,
        typer.Option(
            help=f"Models, with commas between them. Default {', '.join(USUAL)}, as far as the task has them.",
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
    for_: options.For = None,
    epochs: options.Epochs = None,
    steps: options.Steps = None,
    parameters: Annotated[
        int | None,
        typer.Option(
            help="Parameters of each model, within 2 %. Default as many as the budget can train.", min=1, max=10**11
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each model.", min=1, max=1000)] = 1,
    trials: Annotated[
        int,
        typer.Option(help="Learning rates tried for each model, with a quarter of the budget each.", min=0, max=1000),
    ] = 0,
    task: options.TaskName = "auto",
    valid: options.Valid = None,
    valid_target: options.ValidTarget = None,
    tokenizer: options.Tokenizer = None,
    seed: Annotated[int, typer.Option(help="The first seed; further trainings count up.", min=0, max=2**62)] = 1,
    set_: options.Set = None,
    processes: Annotated[
        int, typer.Option(help="So many trainings at a time, which share the cores.", min=1, max=1024)
    ] = 1,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="Where this command on several machines finds what is left to do: a file that all see, or the address "
            "of a database. Each of them has a folder (-o) of its own.",
        ),
    ] = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Compare models on DATA: the same data, tokenizer and budget of each training; intervals, a table and a report.

    The first table depends on the seed alone where the budget is in steps or epochs. The second table is the clock's,
    which other work on the machine changes: that work is measured, and a note says where it may have decided.
    """
    from elman.compare.comparison import compare
    from elman.compare.plan import DEFAULT_BUDGET, DEFAULT_EPOCHS, Plan
    from elman.compare.training import Stopped
    from elman.environment import keep_freed
    from elman.given import choose_task
    from elman.run_folders import default_folder
    from elman.train.schedule import Budget

    keep_freed()
    validation = options.check(resume, overwrite, valid, valid_target)
    given = options.choose_budget(for_, epochs, steps)
    chosen = choose_task(task, {}, data, validation, say, set_ or ())
    usual = [kind for kind in USUAL if kind in chosen.models] or sorted(chosen.models)
    plan = Plan(
        data=tuple(data),
        models=tuple(usual if models is None else filter(None, map(str.strip, models.split(",")))),
        match=cast("Match", match),  # `Plan` refuses any other word
        budget=Budget(**given) if given else DEFAULT_EPOCHS if match in ("tokens", "flops") else DEFAULT_BUDGET,
        parameters=parameters,
        seeds=seeds,
        trials=trials,
        seed=seed,
        valid=tuple(validation),
        tokenizer=tokenizer,
        settings=tuple(set_ or ()),
        task=chosen.name,
    )
    folder = out or default_folder(data[0], "comparison", again=resume or overwrite)
    begun = time.perf_counter()
    with Display() as display, Stop() as stop:
        comparing = partial(compare, say=display.say, progress=display.stage, stop=stop)
        try:
            store = comparing(plan, folder, resume=resume, overwrite=overwrite, storage=storage, processes=processes)
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
