"""`elman evaluate`: what a run's model is worth on some data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli import completion
from elman.cli.console import Display, clock, print_json
from elman.cli.run_argument import RunFolder
from elman.errors import UserError

if TYPE_CHECKING:
    from torch import nn


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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Evaluate RUN's model on DATA: its loss, and what else its task measures."""
    from elman import runs

    loaded = runs.load(run)
    with Display() as display:
        evaluation = loaded.evaluation(data, options, say=display.say, progress=display.stage)
    report = evaluation.report
    if as_json:
        print_json(report)
    if math.isnan(report["loss"]):
        raise _not_a_number(run, loaded.model)
    if not as_json:
        for name, value in [*evaluation.lines, ("time", clock(report["seconds"]))]:
            print(f"{name:<18}  {value}")
    raise typer.Exit(0 if evaluation.complete else 1)


def _not_a_number(run: str, model: nn.Module) -> UserError:
    bad = sum(int((~parameter.isfinite()).sum()) for parameter in model.parameters())
    why = f"{bad:,} of the weights of {run} are not" if bad else f"the weights of {run} are, but not what they compute"
    return UserError(
        f"the loss is not a number: {why}",
        remedy="train it anew with a lower learning rate (--set learning_rate=...)",
    )
