"""`elman predict`: what a run's model makes of lines."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from elman.cli.console import Display, print_json, say
from elman.cli.run_argument import RunFolder
from elman.cli.task_options import takes_task_options
from elman.errors import UserError

if TYPE_CHECKING:
    from elman.data.linefile import InputLine
    from elman.tasks.task import Answer

BLOCK = 1 << 16  # bytes of stdin that are read at once, if so many are there
NAMED = 10  # lines that stay empty; of further ones, their number


@takes_task_options("predict")
def command(
    run: RunFolder,
    options: dict[str, Any],
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="A sentence a line; - or nothing reads stdin.")] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    r"""Answer the lines of FILE with RUN's model on stdout, in their order: their translations.

    A line that has no answer stays empty (JSON: has an "error") and is named at the end; the exit code is 1.

    With --nbest above 1 a line has several: number of the line ||| translation ||| score.

    In such a translation \ is written as \\, | as \|, and what ends a line as \n, \r or \uXXXX.
    """
    from elman import runs

    if file != "-" and not Path(file).exists():
        raise UserError(f"{file}: no such file", exit_code=2)
    loaded = runs.load(run)
    chosen = loaded.task.options_of("predict", options, run)
    refused = Refused()
    with _arriving(file) as (lines, show):
        try:
            for answer in loaded.task.predict(loaded, lines, chosen, say):
                refused.note(answer)
                show(answer.number)
                if as_json:
                    print_json(answer.record, ensure_ascii=False)
                else:
                    print(*answer.lines, sep="\n", flush=True)
        finally:  # what ends the reading must not hide what was left out before
            refused.tell()
    refused.check()


@contextmanager
def _arriving(file: str) -> Iterator[tuple[Iterator[list[InputLine]], Callable[[int], None]]]:
    """The lines of a file, or of stdin as soon as one is there; and what shows how many are answered."""
    from elman.data import textfile
    from elman.data.linefile import arriving_lines

    if file == "-":
        if sys.stdin is None:
            raise UserError("FILE", expected="a file", got="a closed stdin", exit_code=2)
        # What is there already, not a whole block.
        blocks = iter(partial(cast(io.BufferedReader, sys.stdin.buffer).read1, BLOCK), b"")
        yield arriving_lines(blocks, "stdin"), lambda number: None
        return
    path = Path(file)
    # Where the answers are on the terminal too, progress would get in their way.
    shown = sys.stderr is not None and sys.stderr.isatty() and not sys.stdout.isatty()
    with textfile.open_binary(path) as raw, Display() if shown else nullcontext() as display:
        size = max(1, path.stat().st_size)

        def show(number: int) -> None:
            if display:
                display.stage("predicting", raw.tell() / size, f"{number:,} lines")

        yield arriving_lines(textfile.decompress(raw, path), file), show


class Refused:
    """The lines that have no answer: the first few, and how many there are."""

    def __init__(self) -> None:
        self.first: list[tuple[int, str]] = []
        self.count = self.seen = 0

    def note(self, answer: Answer) -> None:
        """Take one more line in."""
        self.seen += 1
        if answer.error:
            self.count += 1
            if len(self.first) < NAMED:
                self.first.append((answer.number, answer.error))

    def tell(self) -> None:
        """Name them to a person."""
        for number, error in self.first:
            say(f"line {number}: {error}")
        if self.count > len(self.first):
            say(f"and {self.count - len(self.first):,} more")

    def check(self) -> None:
        """Errors: `UserError` where there is one."""
        if self.count:
            raise UserError(f"{self.count:,} of {self.seen:,} lines have no answer and stay empty")
