"""`elman predict`: a run's model answers lines."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from elman.cli.options import RunFolder
from elman.display import Display, print_json, say
from elman.errors import UserError

if TYPE_CHECKING:
    from elman.data.linefile import InputLine
    from elman.tasks.exchange import Inputs

BLOCK = 1 << 16  # the most bytes of stdin that are read at once
NAMED = 10  # lines without an answer that are named; of further ones, their number is


def command(
    run: RunFolder,
    options: dict[str, Any],
    file: Annotated[
        str,
        typer.Argument(
            metavar="[FILE]",
            help="Lines, or a file or named source of the kind trained on; without FILE, or with -, stdin.",
            show_default=False,
        ),
    ] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    r"""Answer FILE with RUN's model on stdout, in its order: translations, tags, labels, or the steps to come.

    A line without an answer stays empty, or as it was in columns and JSON (with --json, its object has an "error"), and
    is named on stderr at the end; the exit code is then 1.

    With --nbest above 1 a line has several translations, each written as: number of the line ||| translation ||| score.

    In such a translation \ is written as \\, | as \|, and a line's end as \n, \r or \uXXXX.
    """
    from elman import runs
    from elman.data.sources import EVERY_NAME

    if file != "-" and file not in EVERY_NAME and not Path(file).exists():
        raise UserError(f"{file}: no such file", exit_code=2)
    loaded = runs.load(run)
    chosen = loaded.task.options_of("predict", options, run)
    place = "" if file == "-" else f"{file}, "
    seen, refused, named = 0, 0, []
    with _arriving(file) as (inputs, show):
        try:
            for answer in loaded.task.predict(loaded, inputs, chosen, say):
                seen += 1
                if answer.error:
                    refused += 1
                    named += [f"{place}line {answer.number}: {answer.error}"] if refused <= NAMED else []
                show(answer.number)
                if as_json:
                    if answer.record:
                        print_json(answer.record, ensure_ascii=False)
                elif answer.written is not None:
                    sys.stdout.buffer.write(answer.written)
                    sys.stdout.buffer.flush()
                else:
                    print(*answer.lines, sep="\n", flush=True)
        finally:  # an error that ends the reading must not hide the lines that were left out before
            for line in named:
                say(line)
            if refused > len(named):
                say(f"and {refused - len(named):,} more")
    if refused:
        raise UserError(f"{refused:,} of {seen:,} lines have no answer")


@contextmanager
def _arriving(file: str) -> Iterator[tuple[Inputs, Callable[[int], None]]]:
    """The lines of a file, or of stdin as they arrive; and a function that shows how many inputs are answered."""
    from elman.data import textfile
    from elman.data.linefile import arriving_lines
    from elman.tasks.exchange import Inputs

    if file == "-":
        if sys.stdin is None:
            raise UserError("FILE", expected="a file", got="a closed stdin", exit_code=2)
        # `read1` returns the bytes that have arrived, and does not wait for a whole block.
        blocks = iter(partial(cast(io.BufferedReader, sys.stdin.buffer).read1, BLOCK), b"")
        yield Inputs("stdin", arriving_lines(blocks, "stdin")), lambda number: None
        return
    path = Path(file)
    if path.is_dir() or not path.exists():  # some tasks read folders, and named sources
        yield Inputs(file, _refused(path), path), lambda number: None
        return
    # Where the answers are on the terminal too, progress would get in their way.
    shown = sys.stderr is not None and sys.stderr.isatty() and not sys.stdout.isatty()
    with textfile.open_binary(path) as raw, Display() if shown else nullcontext() as display:
        size = max(1, path.stat().st_size)

        def show(number: int) -> None:
            if display:
                display.stage("predicting", raw.tell() / size, f"{number:,} lines")

        yield Inputs(file, arriving_lines(textfile.decompress(raw, path), file), path), show


def _refused(path: Path) -> Iterator[list[InputLine]]:
    """What is read of a folder or of a named source as lines: the system's refusal."""
    from elman.data import textfile

    textfile.open_binary(path).close()
    yield []
