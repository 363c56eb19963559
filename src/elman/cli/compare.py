"""`elman compare`: several models on the same data, with the same budget."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from elman.cli import bounds, completion
from elman.cli.budget import choose_budget
from elman.cli.console import Display, clock, print_json, say
from elman.cli.signals import Stop
from elman.errors import UserError

if TYPE_CHECKING:
    from elman.compare.plan import Match, Plan
    from elman.compare.store import Store


def command(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA",
            help="A text, a folder, JSON lines (.gz, .zst), or python-stdlib.",
            autocompletion=completion.data,
        ),
    ],
    models: Annotated[
        str, typer.Option(help="Which, with commas.", autocompletion=completion.several_of(completion.models))
    ] = "elman,gru,lstm,transformer",
    match: Annotated[
        str,
        typer.Option(
            help="What is the same for all: parameters (and budget), time, tokens or flops.",
            autocompletion=completion.one_of(completion.matches),
        ),
    ] = "parameters",
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FOLDER", help="The comparison's folder.")] = None,
    for_: Annotated[str | None, typer.Option("--for", metavar="TIME", help="Of each training: 60s, 2m, 1h30m.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Of each training: passes over the data.", min=0)] = None,
    steps: Annotated[int | None, typer.Option(help="Of each training: optimiser steps.", min=1)] = None,
    parameters: Annotated[
        int | None,
        typer.Option(help="Of each model, within 2 %; else what the budget is good for.", min=1, max=bounds.PARAMETERS),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each model.", min=1, max=bounds.SEEDS)] = 1,
    trials: Annotated[
        int,
        typer.Option(
            help="Learning rates tried for each model, with a quarter of the budget each.", min=0, max=bounds.TRIALS
        ),
    ] = 0,
    task: Annotated[
        str,
        typer.Option(
            help="language-modelling: DATA are text, whatever they look like.",
            autocompletion=completion.one_of(lambda: ["auto", "language-modelling"]),
        ),
    ] = "auto",
    valid: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Validate on this; else on DATA's end.", autocompletion=completion.data),
    ] = None,
    tokenizer: Annotated[
        str,
        typer.Option(help="char, byte, word or bpe.", autocompletion=completion.one_of(completion.tokenizers)),
    ] = "char",
    seed: Annotated[int, typer.Option(help="The first.", min=0, max=2**62)] = 1,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One setting, for all models.",
            autocompletion=completion.assignment,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was interrupted.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the comparison.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare models on DATA: the same data, tokenizer and budget; intervals, a table and a report.

    The first table depends on the seed alone where the budget is one of steps or epochs; the second is the clock's,
    which other work on the machine changes: it is measured, and said where it may have decided.
    """
    from elman.compare.comparison import compare
    from elman.compare.plan import DEFAULT_BUDGET, DEFAULT_EPOCHS, Plan
    from elman.compare.training import Stopped
    from elman.environment import keep_freed
    from elman.fitting import default_folder
    from elman.train.schedule import Budget

    keep_freed()
    if resume and overwrite:
        raise UserError("--resume and --overwrite exclude each other", exit_code=2)
    matched = cast("Match", match)  # the plan sees whether it is one
    default = DEFAULT_EPOCHS if matched in ("tokens", "flops") else DEFAULT_BUDGET
    given = choose_budget(for_, epochs, steps)
    text = choose_text(task, data, valid)
    plan = Plan(
        data=text,
        models=tuple(name.strip() for name in models.split(",") if name.strip()),
        match=matched,
        budget=Budget(**given) if given else default,
        parameters=parameters,
        seeds=seeds,
        trials=trials,
        seed=seed,
        valid=valid,
        tokenizer=tokenizer,
        settings=tuple(set_ or ()),
    )
    folder = out or default_folder(text, "comparison", again=resume or overwrite)
    begun = time.perf_counter()
    with Display() as display, Stop() as stop:
        try:
            store = compare(
                plan,
                folder,
                resume=resume,
                overwrite=overwrite,
                say=display.say,
                progress=display.stage,
                stop=stop,
            )
        except Stopped:
            display.say(f"stopped; everything is saved: go on with --resume -o {folder}")
            raise typer.Exit(stop.exit_code) from None
    _report(plan, store, as_json, time.perf_counter() - begun)


def _report(plan: Plan, store: Store, as_json: bool, seconds: float) -> None:
    from elman import atomic
    from elman.compare import conclusion, drawing, tables
    from elman.compare.outcomes import clocks, outcomes
    from elman.report import aligned

    place = store.folder / "report.html"
    atomic.write_text(place, drawing.html(plan, store))
    say(f"the report is in {place} ({clock(seconds)})")
    if as_json:
        print_json(conclusion.summary(plan, store))
        return
    ranked, measured = outcomes(plan, store.known), clocks(plan, store.timing)
    first = aligned([tables.result_headings(ranked), *tables.result_rows(ranked)])
    second = aligned([tables.CLOCK_HEADINGS, *tables.clock_rows(measured)])
    for line in [*first, "", *conclusion.sentences(plan, ranked, measured), "", *second]:
        print(line)
    for line in conclusion.clock_notes(measured):
        print(line)


def choose_text(task: str, data: list[str], valid: str | None) -> str:
    """The text that `elman compare` reads.

    Errors: `UserError` where the data are something else, unless the task is said.
    """
    from elman.data.pairs import holds_pairs
    from elman.data.recognition import check_text

    other = "" if task in ("auto", "language-modelling") else f"--task {task}"
    if not other and len(data) > 1:
        other = f"{len(data)} files"
    elif task == "auto" and holds_pairs(data):
        other = "pairs"
    if other:
        remedy = "for pairs, `elman train` a run of each --model, and `elman evaluate` each"
        raise UserError("compare", expected="one text", got=other, remedy=remedy, exit_code=2)
    if task == "auto":
        for place in filter(None, (data[0], valid)):
            check_text(place)
    return data[0]
