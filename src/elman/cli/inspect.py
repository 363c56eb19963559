"""`elman inspect`: a report on the memory of a run's model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from elman.cli import completion
from elman.cli.options import RunFolder
from elman.display import Display, clock, print_json, say
from elman.tasks import TASKS


def command(
    run: RunFolder,
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA [TARGETS]]",
            help="Data of the kind that the run was trained on. Default the data that it was validated on.",
            autocompletion=completion.data,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE.html", help="The report. Default RUN/report.html.")
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(
            help="Only these parts, with commas between them. "
            + " ".join(f"Of {task.title}: {', '.join(task.parts)}." for task in TASKS.values()),
            autocompletion=completion.several_of(completion.parts),
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with all numbers.")] = False,
) -> None:
    """Look at RUN's memory while it reads: gradient flow, gates, states, attention, truncation, clipping."""
    from elman import atomic, runs
    from elman.errors import UserError

    if out is not None and out.is_dir():
        raise UserError(f"-o {out}", expected="a file for the report", got="a folder", exit_code=2)
    begun = time.perf_counter()
    chosen = [name.strip() for name in parts.split(",")] if parts is not None else []
    with Display() as display:
        loaded = runs.load(run)
        found = loaded.task.inspect(loaded, data or [], parts=chosen, progress=display.stage)
    place = out or (None if as_json else Path(run) / "report.html")
    if place is not None:
        atomic.write_text(place, found.html())
        say(f"the report is in {place} ({place.stat().st_size / 1e6:.1f} MB, {clock(time.perf_counter() - begun)})")
    if as_json:
        print_json(found.numbers)
        return
    for line in found.lines:
        print(line)
