"""What the arguments of `elman train` mean: the task, and its files."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from elman.errors import UserError, suggestion


class TrainCommand(TyperCommand):
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


def choose_task(
    tree: dict[str, Any], task: str, data: list[str], valid: str | None, valid_target: str | None
) -> dict[str, Any]:
    """The task, which follows from the data where nobody says one, and the settings of where its data are.

    Errors: `UserError` where the files are not those of a task, or where nobody says that they are text and they do
    not look like it.
    """
    from elman.tasks import TASKS, recognise

    if len(data) > 2:
        remedy = "validation files stand after --valid"
        raise UserError("DATA", expected="one file, or two of pairs", got=len(data), remedy=remedy, exit_code=2)
    if task != "auto" and task not in TASKS:
        expected = "auto or " + " or ".join(TASKS)
        raise UserError("--task", expected=expected, got=repr(task), remedy=suggestion(task, TASKS), exit_code=2)
    if valid_target and not valid:
        raise UserError("--valid-target: there is no --valid that it belongs to", exit_code=2)
    validation = [place for place in (valid, valid_target) if place]
    if task != "auto":
        tree["task"] = task
    elif "task" not in tree:
        tree["task"] = recognise(data, validation).name
    return TASKS[tree["task"]].files(data, validation) if tree["task"] in TASKS else {}
