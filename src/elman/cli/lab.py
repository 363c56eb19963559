"""`elman lab`: classical claims, run and judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli import completion
from elman.display import Display, clock, print_json, say


def command(
    experiment: Annotated[
        str | None,
        typer.Argument(
            metavar="[EXPERIMENT]",
            help="Which; all; none lists them.",
            autocompletion=completion.one_of(lambda: ["all", *completion.EXPERIMENTS]),
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Minutes on two cores.")] = False,
    seed: Annotated[int, typer.Option(help="Decides every draw.", min=0, max=10**6)] = 1,
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="For the experiments that read data.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE.html", help="The report.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a classical EXPERIMENT: its claim, what came out, and whether it holds by the criterion it states.

    Each has a control, such as an easy case of the same task: where that fails, nothing is decided.
    """
    from elman import atomic
    from elman.errors import UserError
    from elman.lab.catalogue import EXPERIMENTS, choose
    from elman.lab.experiment import Setting
    from elman.lab.findings import html, numbers, run_all, verdict

    if experiment is None:
        if as_json:
            print_json({one.name: {"claim": one.claim, "paper": one.paper} for one in EXPERIMENTS.values()})
            return
        width = max(map(len, EXPERIMENTS))
        for one in EXPERIMENTS.values():
            print(f"{one.name:<{width}}  {one.claim}{f' (--data {one.needs_data})' if one.needs_data else ''}")
        return
    if out is not None and out.is_dir():
        raise UserError(f"-o {out}", expected="a file for the report", got="a folder", exit_code=2)
    if data is not None and not data.is_file():
        raise UserError(f"{data}: no such file", exit_code=2)
    chosen = choose(experiment, with_data=data is not None)
    with Display() as display:
        setting = Setting(quick, seed, display.stage, data)
        found = run_all(chosen, setting)
    place = out or (None if as_json else Path(f"lab-{experiment}.html"))
    if place is not None:
        atomic.write_text(place, html(found, setting))
        say(f"the report is in {place} ({clock(sum(seconds for _, _, seconds in found))})")
    if as_json:
        print_json(numbers(found))
        return
    for one, findings, seconds in found:
        print(f"{one.name}: {verdict(one, findings)} ({clock(seconds)}). {one.claim}")
        for line in findings.words:
            print(f"  {line}")
