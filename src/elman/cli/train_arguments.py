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
    """The task, which follows from the data where it is not said, and the files that the task reads.

    Errors: `UserError` where the files are not those of a task, or where nobody says that they are text and they do
    not look like it.
    """
    from elman.data.pairs import holds_pairs
    from elman.data.recognition import check_text
    from elman.train.config import TASKS

    if len(data) > 2:
        remedy = "validation files stand after --valid"
        raise UserError("DATA", expected="one file, or two of pairs", got=len(data), remedy=remedy, exit_code=2)
    if task != "auto" and task not in TASKS:
        expected = "auto or " + " or ".join(TASKS)
        raise UserError("--task", expected=expected, got=repr(task), remedy=suggestion(task, TASKS), exit_code=2)
    if valid_target and not valid:
        raise UserError("--valid-target: there is no --valid that it belongs to", exit_code=2)
    if task != "auto":
        tree["task"] = task
    guessed = "task" not in tree
    if guessed:
        tree["task"] = "translation" if holds_pairs(data) else "language-modelling"
    if tree["task"] == "translation":
        target = data[1] if len(data) == 2 else None
        return {"source": data[0], "target": target, "valid": valid, "valid_target": valid_target}
    for what, second in (("DATA", data[1:]), ("--valid", valid_target)):
        if second:
            raise UserError(what, expected="one text", got="two files", remedy="--task translation", exit_code=2)
    if guessed:
        for place in filter(None, (data[0], valid)):
            check_text(place)
    return {"source": data[0], "valid": valid}


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
