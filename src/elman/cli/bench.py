"""`elman bench`: the speed of the recurrent layers beside that of torch.nn's and onnxruntime's."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cells import CELLS
from elman.cli import completion
from elman.cli.options import finite
from elman.cli.signals import Stop
from elman.display import Display, print_json, say
from elman.errors import UserError, missing_extra, nearest

if TYPE_CHECKING:
    from elman.bench.contest import Contest, Measurement, Rate, Shape


def _listed(help: str, words: Iterable[str], metavar: str = "A,B") -> Any:
    """An option whose value is words with commas between them."""
    return typer.Option(metavar=metavar, help=help, autocompletion=completion.several_of(lambda: words))


def command(
    cells: Annotated[str, _listed(f"Of {', '.join(completion.TORCH_CELLS)}.", completion.TORCH_CELLS)] = ",".join(
        completion.TORCH_CELLS
    ),
    shapes: Annotated[
        str, _listed("Of grid, step, and any T,B,H; the input's size is H.", completion.SHAPES)
    ] = "grid,step",
    passes: Annotated[str, _listed("Of inference, training.", completion.PASSES)] = "inference,training",
    dtypes: Annotated[str, _listed("Of float32, bfloat16 (by autocast).", completion.DTYPES)] = "float32,bfloat16",
    threads: Annotated[str, _listed("Numbers of threads; all: torch's default number.", ["1", "all"], "N,M")] = "1,all",
    backend: Annotated[
        str | None,
        typer.Option(
            help="One of elman's backends; by default the layer chooses.",
            autocompletion=completion.one_of(lambda: completion.BACKENDS),
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            help="For each line, three rounds at least; all lines take about 4 minutes.",
            min=0,
            max=3600,
            callback=finite,
        ),
    ] = 0.6,
    clock: Annotated[
        str,
        typer.Option(
            help="wall, or cpu: of one thread, on a machine that has other work to do.",
            autocompletion=completion.one_of(lambda: completion.CLOCKS),
        ),
    ] = "wall",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure elman's recurrent layers against torch.nn's and, where it is installed, onnxruntime (in float32)."""
    from elman import kernels
    from elman.bench import contest as bench
    from elman.bench.onnx_layer import missing_package
    from elman.bench.report import report, table
    from elman.bench.timing import CLOCKS

    _check("--clock", clock, CLOCKS)
    if backend is not None:
        _check("--backend", backend, kernels.BACKENDS)
    contest = bench.Contest(
        cells=_words("--cells", cells, bench.TORCH_CELLS),
        shapes=_shapes(shapes, bench.SHAPES),
        passes=_words("--passes", passes, bench.PASSES),
        dtypes=_words("--dtypes", dtypes, bench.DTYPES),
        threads=_threads(threads),
        backend=backend,
        seconds=seconds,
        clock=clock,
    )
    if clock == "cpu" and contest.threads != [1]:
        raise UserError("--clock cpu times one thread alone", remedy="give --threads 1", exit_code=2)
    missing = missing_package()
    if missing and "inference" in contest.passes and "float32" in contest.dtypes:
        say(str(missing_extra(missing, "bench", "comparisons with onnxruntime")))
    measured, exit_code = _measure(contest)
    results = report(contest, measured)
    if not results["complete"]:
        say("stopped; the report has the measurements until then")
    if as_json:
        print_json(results)
    else:
        print(*table(results), sep="\n")
    # A signal that came with the last line has interrupted nothing.
    raise typer.Exit(0 if results["complete"] else exit_code)


def _measure(contest: Contest) -> tuple[list[Measurement | Rate], int]:
    """The measurements until the end or a signal, and the exit code."""
    from elman.bench.contest import Measurement, measure

    measured: list[Measurement | Rate] = []
    with Display() as display, Stop() as stop:
        for it in measure(contest):
            measured.append(it)
            done = sum(isinstance(it, Measurement) for it in measured)
            display.stage("measuring", done / len(contest), f"{done} of {len(contest)} lines; {it}")
            if stop():
                break
    return measured, stop.exit_code


def _check(option: str, word: str, known: Collection[str]) -> None:
    if word not in known:
        alone = option == "--cells" and word in CELLS
        what = f"torch.nn has no layer to compare '{word}' with" if alone else f"there is no '{word}'"
        raise UserError(f"{option}: {what}", remedy=nearest(word, known), exit_code=2)


def _words(option: str, given: str, known: Collection[str]) -> list[str]:
    """The words of a list, each once; all must be known."""
    words = [word.strip() for word in given.split(",")]
    for word in words:
        _check(option, word, known)
    return list(dict.fromkeys(words))


def _shapes(given: str, known: dict[str, list[Shape]]) -> list[Shape]:
    """The shapes of a list of names and numbers, of which three numbers in a row are a shape."""
    words = [word.strip() for word in given.split(",")]
    shapes: list[Shape] = []
    while words:
        if words[0][-1:].isdecimal():
            numbers, words = words[:3], words[3:]
            if len(numbers) < 3 or not all(word.isdecimal() and len(word) < 10 and int(word) for word in numbers):
                got = ",".join(word[:20] for word in numbers)
                raise UserError("--shapes", expected="three positive numbers T,B,H", got=f"'{got}'", exit_code=2)
            T, B, H = map(int, numbers)
            _check_ram(T, B, H)
            shapes.append((T, B, H))
        else:
            _check("--shapes", words[0], known)
            shapes += known[words.pop(0)]
    return list(dict.fromkeys(shapes))


def _check_ram(T: int, B: int, H: int) -> None:
    """Raise `UserError` where the inputs, the outputs and the weights of four gates exceed the machine's RAM."""
    from elman import environment

    available, needed = environment.ram(), 4 * (2 * T * B * H + 8 * H * H)
    if available is not None and needed > available:
        words = environment.bytes_in_words
        raise UserError(f"--shapes {T},{B},{H}", expected=f"at most {words(available)}", got=words(needed), exit_code=2)


def _threads(given: str) -> list[int]:
    """Numbers of threads, each once."""
    import torch

    usual = torch.get_num_threads()
    most = max(usual, os.cpu_count() or 1)
    words = [word.strip() for word in given.split(",")]
    for word in words:
        if word != "all" and not (word.isdecimal() and len(word) < 10 and 1 <= int(word) <= most):
            raise UserError("--threads", expected=f"from 1 to {most}, or all", got=f"'{word[:20]}'", exit_code=2)
    return list(dict.fromkeys(usual if word == "all" else int(word) for word in words))
