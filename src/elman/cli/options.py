"""The arguments and options that several commands share: data, runs, the budget, settings, folders."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from elman.cli import completion
from elman.errors import UserError
from elman.tasks import TASKS
from elman.train.schedule import Unit, make_budget, parse_duration

Data = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA [TARGETS]",
        autocompletion=completion.data,
        help=" ".join(task.reads for task in TASKS.values()),
    ),
]
RunFolder = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run folder that `elman train` made.", autocompletion=completion.run_folder),
]
For = Annotated[str | None, typer.Option("--for", metavar="TIME", help="The budget as wall time: 90s, 2m, 1h30m.")]
Epochs = Annotated[float | None, typer.Option(help="The budget as passes over the data.", min=0)]
Steps = Annotated[int | None, typer.Option(help="The budget as optimiser steps.", min=1)]
TaskName = Annotated[
    str,
    typer.Option(
        help=f"{', '.join(TASKS)}, or auto: the data decide.",
        autocompletion=completion.one_of(completion.tasks),
    ),
]
Valid = Annotated[
    str | None,
    typer.Option(
        metavar="FILE [TARGETS]",
        autocompletion=completion.data,
        help="Validate on FILE, which stands after DATA; without it, a part of DATA is held out.",
    ),
]
ValidTarget = Annotated[str | None, typer.Option(hidden=True, help="The second file of --valid FILE TARGETS.")]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        help="char, byte, word or bpe; of labelled texts also ngrams: words by their characters. Default char, bpe "
        "where pairs are sentences, or else, where texts have labels, the kind that suits them.",
        autocompletion=completion.values_of("tokenizer"),
    ),
]
Horizon = Annotated[int | None, typer.Option(help="How many steps of a series are forecast.", min=1)]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One setting, as in config.yaml; may be given several times.",
        autocompletion=completion.assignment,
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the earlier run in the folder; begin without one.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the earlier run in the folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


class DataCommand(TyperCommand):
    """A command whose `--valid` takes one file, or two: `--valid SOURCES TARGETS` for pairs in two files.

    An option has a fixed number of values, so `--valid-target` is put before the second file. A file is the second one
    where DATA stands before `--valid`, or where two more files follow.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, `--valid SOURCES TARGETS` among them."""
        for at, argument in enumerate(args):
            if argument == "--valid" or argument.startswith("--valid="):
                second = at + (2 if argument == "--valid" else 1)
                following = 0
                while second + following < len(args) and not args[second + following].startswith("-"):
                    following += 1
                before = self.make_parser(ctx).parse_args(args=list(args[:at]))[0].get("data")
                if following > 2 or (following > 0 and before):
                    args = [*args[:second], "--valid-target", *args[second:]]
                break
        return super().parse_args(ctx, args)


def check(resume: bool, overwrite: bool, valid: str | None, valid_target: str | None) -> list[str]:
    """The places of validation data. Raises `UserError` for options that exclude each other."""
    if resume and overwrite:
        raise UserError("--resume and --overwrite exclude each other", exit_code=2)
    if valid_target and not valid:
        raise UserError("--valid-target: there is no --valid that it belongs to", exit_code=2)
    return [place for place in (valid, valid_target) if place]


def choose_budget(for_: str | None, epochs: float | None, steps: int | None) -> dict[str, Any] | None:
    """The budget as settings have it; None where none was given.

    Raises:
        UserError: two budgets are given, or one that is no budget.
    """
    options: dict[str, tuple[Any, Unit]] = {
        "--for": (for_, "seconds"), "--epochs": (epochs, "epochs"), "--steps": (steps, "steps"),
    }  # fmt: skip
    given = [name for name, (value, _) in options.items() if value is not None]
    if len(given) > 1:
        raise UserError("the budget", expected=f"one of {', '.join(options)}", got=" and ".join(given), exit_code=2)
    for name in given:
        amount, unit = options[name]
        try:
            amount = parse_duration(amount) if unit == "seconds" else amount
        except ValueError:
            raise UserError(name, expected="a time such as 90s, 2m or 1h30m", got=repr(amount), exit_code=2) from None
        return asdict(make_budget(amount, unit, name))
    return None


def finite(context: typer.Context, option: typer.CallbackParam, value: Any) -> Any:
    """A callback of an option that refuses what a range lets pass: infinity, and what is not a number."""
    if value is not None and not math.isfinite(value):
        raise UserError(option.opts[0], expected="a finite number", got=value, exit_code=2)
    return value
