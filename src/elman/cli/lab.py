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
            help="A name, or all; without a name, the experiments are listed.",
            autocompletion=completion.one_of(lambda: ["all", *completion.EXPERIMENTS]),
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small size, for minutes on two cores.")] = False,
    seed: Annotated[int, typer.Option(help="Of every random draw.", min=0, max=10**6)] = 1,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The data of an experiment that reads some.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE.html", help="The report.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a classical EXPERIMENT and say whether its claim holds, by a criterion that the experiment states.

    Each experiment has a control, such as an easy case of the same task; where the control fails, nothing is decided.
    """
    from elman import atomic
    from elman.errors import UserError
    from elman.lab.catalogue import EXPERIMENTS, choose
    from elman.lab.experiment import Setting
    from elman.lab.findings import html, numbers, run_all, verdict

    if experiment is None:
        if as_json:
            print_json({name: {"claim": known.claim, "paper": known.paper} for name, known in EXPERIMENTS.items()})
            return
        width = max(map(len, EXPERIMENTS))
        for name, known in EXPERIMENTS.items():
            print(f"{name:<{width}}  {known.claim}{f' (--data {known.needs_data})' if known.needs_data else ''}")
        return
    if out is not None and out.is_dir():
        raise UserError(f"-o {out}", expected="a file for the report", got="a folder", exit_code=2)
    if data is not None and not data.is_file():
        raise UserError(f"{data}: no such file", exit_code=2)
    chosen = choose(experiment, with_data=data is not None)
    with Display() as display:
        setting = Setting(quick, seed, display.stage, data)
        found = run_all(chosen, setting)
    report = out or (None if as_json else Path(f"lab-{experiment}.html"))
    if report is not None:
        atomic.write_text(report, html(found, setting))
        say(f"the report is in {report} ({clock(sum(seconds for _, _, seconds in found))})")
    if as_json:
        print_json(numbers(found))
        return
    for known, findings, seconds in found:
        print(f"{known.name}: {verdict(known, findings)} ({clock(seconds)}). {known.claim}")
        for line in findings.words:
            print(f"  {line}")
