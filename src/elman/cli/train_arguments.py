"""How the arguments of `elman train` are read: `--valid` takes one file, or two."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


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
