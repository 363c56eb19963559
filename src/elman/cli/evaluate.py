"""`elman evaluate`: the loss and the scores of a run's model on some data."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from elman.cli import completion
from elman.cli.options import Json, RunFolder
from elman.display import Display, clock, print_json
from elman.errors import UserError


def command(
    run: RunFolder,
    options: dict[str, Any],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA [TARGETS]",
            help="Data of the kind that the run was trained on.",
            autocompletion=completion.data,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Evaluate RUN's model on DATA: its loss, and the scores of its task."""
    from elman import runs

    loaded = runs.load(run)
    with Display() as display:
        evaluation = loaded.evaluation(data, options, say=display.say, progress=display.stage)
    report = evaluation.report
    if as_json:
        print_json(report)
    if math.isnan(report["loss"]):
        bad = sum(int((~parameter.isfinite()).sum()) for parameter in loaded.model.parameters())
        why = f"{bad:,} of the weights of {run} are not" if bad else f"the weights of {run} are, but no result of them"
        remedy = "train it anew with a lower learning rate (--set learning_rate=...)"
        raise UserError(f"the loss is not a number: {why}", remedy=remedy)
    if not as_json:
        for name, value in [*evaluation.lines, ("time", clock(report["seconds"]))]:
            print(f"{name:<18}  {value}")
    raise typer.Exit(0 if evaluation.complete else 1)
