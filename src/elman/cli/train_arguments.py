"""The arguments that `elman train` and `elman compare` share: the data, the task, the budget, settings, and folders."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from elman.cli import completion
from elman.errors import UserError
from elman.tasks import TASKS

Data = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA [TARGETS]",
        autocompletion=completion.data,
        help=" ".join(task.reads for task in TASKS.values()),
    ),
]
For = Annotated[str | None, typer.Option("--for", metavar="TIME", help="The budget as wall time: 90s, 2m, 1h30m.")]
Epochs = Annotated[float | None, typer.Option(help="The budget as passes over the data.", min=0)]
Steps = Annotated[int | None, typer.Option(help="The budget as optimiser steps.", min=1)]
TaskName = Annotated[
    str,
    typer.Option(
        help=f"{' or '.join(completion.tasks())}; auto: what DATA look like.",
        autocompletion=completion.one_of(lambda: ["auto", *completion.tasks()]),
    ),
]
Valid = Annotated[
    str | None,
    typer.Option(
        metavar="FILE [TARGETS]",
        autocompletion=completion.data,
        help="Validate on this, given after DATA; else on a part of DATA that is held out.",
    ),
]
ValidTarget = Annotated[str | None, typer.Option(hidden=True, help="What a second file after --valid becomes.")]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        help="char, byte, word or bpe; default char, and bpe where pairs are sentences.",
        autocompletion=completion.values_of("tokenizer"),
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One setting, as in config.yaml.",
        autocompletion=completion.assignment,
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where it was left; begin where there is nothing yet.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


class DataCommand(TyperCommand):
    """A command whose `--valid` takes one file, or two: `--valid SOURCES TARGETS` for pairs in two files.

    An option has a fixed number of values, so that the second is written as a `--valid-target` before they are read.
    It is the file after the first, where DATA stands before `--valid`, or two more files stand after it.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, `--valid SOURCES TARGETS` among them."""
        for at, argument in enumerate(args):
            if argument == "--valid" or argument.startswith("--valid="):
                second = at + (2 if argument == "--valid" else 1)
                if self._is_second(ctx, args, at, second):
                    args = [*args[:second], "--valid-target", *args[second:]]
                break
        return super().parse_args(ctx, args)

    def _is_second(self, ctx: Any, args: list[str], at: int, second: int) -> bool:
        following = 0
        while second + following < len(args) and not args[second + following].startswith("-"):
            following += 1
        before = self.make_parser(ctx).parse_args(args=list(args[:at]))[0].get("data")
        return following > 2 or (following > 0 and bool(before))


def check(resume: bool, overwrite: bool, valid: str | None, valid_target: str | None) -> list[str]:
    """The places of validation data. Errors: `UserError` for options that do not go together."""
    if resume and overwrite:
        raise UserError("--resume and --overwrite exclude each other", exit_code=2)
    if valid_target and not valid:
        raise UserError("--valid-target: there is no --valid that it belongs to", exit_code=2)
    return [place for place in (valid, valid_target) if place]
