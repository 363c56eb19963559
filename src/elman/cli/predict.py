"""`elman predict`: translate lines with a run's model."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from elman.cli import bounds
from elman.cli.console import Display, print_json, say
from elman.cli.run_argument import RunFolder
from elman.cli.sampling_options import MinP, TopK, TopP
from elman.cli.translations import Refused, lines, record
from elman.errors import UserError

if TYPE_CHECKING:
    from elman.decode.translate import Beam, Sampling, Translation, Translator

BEAM = 5
ARGUMENTS = {  # options, and what `Beam` and `Sampling` call them
    "--beam": "width",
    "--length-penalty": "length_alpha",
    "--coverage-penalty": "coverage_beta",
    "--temperature": "temperature",
    "--top-k": "top_k",
    "--top-p": "top_p",
    "--min-p": "min_p",
    "--seed": "seed",
}
BLOCK = 1 << 16  # bytes of stdin that are read at once, if so many are there


def command(
    run: RunFolder,
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="A sentence a line; - or nothing reads stdin.")] = "-",
    beam: Annotated[
        int | None, typer.Option(help="Hypotheses kept; 1 is greedy search; default 5.", min=1, max=bounds.BEAM)
    ] = None,
    nbest: Annotated[int, typer.Option(help="Translations of each line, or samples.", min=1, max=bounds.BEAM)] = 1,
    length_penalty: Annotated[
        float | None,
        typer.Option(
            help="Above 0 longer, 0 the most probable; default 0.6.",
            min=0,
            max=bounds.LENGTH_PENALTY,
            callback=bounds.finite,
        ),
    ] = None,
    coverage_penalty: Annotated[
        float | None,
        typer.Option(
            help="Above 0 passes over less of the source; default 0.",
            min=0,
            max=bounds.COVERAGE_PENALTY,
            callback=bounds.finite,
        ),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Draw at random instead of searching.")] = False,
    temperature: Annotated[
        float | None,
        typer.Option(help="Above 1 bolder, below 1 safer; default 1.", min=0, callback=bounds.finite),
    ] = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    seed: Annotated[int | None, typer.Option(help="For the same samples again.", min=0, max=2**63 - 1)] = None,
    prefix: Annotated[str, typer.Option(help="What every translation begins with.")] = "",
    min_length: Annotated[int, typer.Option(help="The fewest tokens of a translation.", min=0, max=bounds.TARGET)] = 0,
    max_length: Annotated[
        int | None,
        typer.Option(
            help="The most tokens of a translation; default three times the source, and 30.", min=0, max=bounds.TARGET
        ),
    ] = None,
    block_ngrams: Annotated[int | None, typer.Option(help="Write no N tokens twice.", min=1)] = None,
    batch: Annotated[int, typer.Option(help="Sentences decoded together.", min=1, max=bounds.BATCH)] = 64,
    max_source: Annotated[int, typer.Option(help="The most tokens of a line.", min=1)] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
    alignments: Annotated[bool, typer.Option("--alignments", help="Show what each token attended to.")] = False,
) -> None:
    r"""Translate the lines of FILE with RUN's model to stdout, in their order.

    A line that cannot be translated stays empty (JSON: has an "error") and is named at the end; the exit code is 1.

    With --nbest above 1 a line has several: number of the line ||| translation ||| score.

    In such a translation \ is written as \\, | as \|, and what ends a line as \n, \r or \uXXXX.
    """
    searching = {"--beam": beam, "--length-penalty": length_penalty, "--coverage-penalty": coverage_penalty}
    drawing = {"--temperature": temperature, "--top-k": top_k, "--top-p": top_p, "--min-p": min_p, "--seed": seed}
    _check(sample, nbest, searching, drawing, min_length, max_length, prefix)

    from elman import runs
    from elman.decode.constraints import Constraints
    from elman.decode.translate import Translator

    if file != "-" and not Path(file).exists():
        raise UserError(f"{file}: no such file", exit_code=2)
    loaded: Any = runs.load(run)
    if loaded.task != "translation":
        remedy = f"write with it: `elman generate {run}`"
        raise UserError(f"{run}", expected="a translation run", got=f"one of {loaded.task}", remedy=remedy, exit_code=2)
    search = _search(sample, nbest, searching, drawing)
    translator = Translator(
        loaded.model,
        loaded.source_tokenizer,
        loaded.target_tokenizer,
        search=search,
        constraints=Constraints(min_length=min_length, max_length=max_length, block_ngrams=block_ngrams),
        prefix=prefix,
        batch_size=batch,
        max_source=max_source,
        alignments=alignments,
    )
    if unknown := loaded.target_tokenizer.count_unknown(loaded.target_tokenizer.encode(prefix)):
        say(f"warning: {unknown} of the prefix's tokens are unknown to the model")
    refused = Refused()
    try:
        for translation in _translated(translator, file):
            refused.note(translation)
            if as_json:
                print_json(record(translation, getattr(search, "seed", None), nbest), ensure_ascii=False)
            else:
                print(*lines(translation, nbest), sep="\n", flush=True)
    finally:  # what ends the reading must not hide what was left out before
        refused.tell()
    refused.check()


def _check(
    sample: bool,
    nbest: int,
    searching: dict[str, Any],
    drawing: dict[str, Any],
    min_length: int,
    max_length: int | None,
    prefix: str,
) -> None:
    """See whether the options fit each other. Errors: `UserError` where they do not."""
    for name, value in {**searching, **drawing}.items():
        if value is None:
            continue
        if sample != (name in drawing):
            remedy = "leave one of them out" if sample else "give --sample too"
            raise UserError(f"{name} is {'not ' if sample else ''}for --sample", remedy=remedy, exit_code=2)
    width = searching["--beam"] or BEAM
    if not sample and nbest > width:
        remedy = f"give --beam {nbest} too"
        raise UserError("--nbest", expected=f"at most the beam's {width}", got=nbest, remedy=remedy, exit_code=2)
    if max_length is not None and max_length < min_length:
        raise UserError("--max-length", expected=f"at least --min-length {min_length}", got=max_length, exit_code=2)
    try:
        prefix.encode()  # an argument that is no UTF-8 has become surrogates
    except UnicodeError:
        raise UserError("--prefix", expected="UTF-8 text", got="something else", exit_code=2) from None


def _search(sample: bool, nbest: int, searching: dict[str, Any], drawing: dict[str, Any]) -> Beam | Sampling:
    """How to search, from the options that were given."""
    import torch

    from elman.decode.translate import Beam, Sampling

    given = {ARGUMENTS[name]: value for name, value in {**searching, **drawing}.items() if value is not None}
    if sample:
        return Sampling(**{"seed": torch.Generator().seed() % 2**31, "samples": nbest} | given)
    return Beam(**{"width": BEAM, "n_best": nbest} | given)


def _translated(translator: Translator, file: str) -> Iterator[Translation]:
    """The translations of a file, or of stdin as soon as a line is there, in the order of the lines."""
    from elman.data import textfile

    if file == "-":
        if sys.stdin is None:
            raise UserError("FILE", expected="a file", got="a closed stdin", exit_code=2)
        # What is there already, not a whole block.
        blocks = iter(partial(cast(io.BufferedReader, sys.stdin.buffer).read1, BLOCK), b"")
        yield from _in_windows(translator, blocks, "stdin")
        return
    path = Path(file)
    # Where the translations are on the terminal too, progress would get in their way.
    shown = sys.stderr is not None and sys.stderr.isatty() and not sys.stdout.isatty()
    with textfile.open_binary(path) as raw, Display() if shown else nullcontext() as display:
        size = max(1, path.stat().st_size)
        for translation in _in_windows(translator, textfile.decompress(raw, path), file):
            yield translation
            if display:
                display.stage("translating", raw.tell() / size, f"{translation.number:,} lines")


def _in_windows(translator: Translator, blocks: Iterable[bytes], name: str) -> Iterator[Translation]:
    """Translate what has arrived: never waits for a further line where there is a whole one."""
    from elman.data.linefile import arriving_lines

    first = 1
    for arrived in arriving_lines(blocks, name):
        for start in range(0, len(arrived), translator.window):
            together = arrived[start : start + translator.window]
            translations = translator(["" if line.error else line.text for line in together], first)
            for translation, line in zip(translations, together, strict=True):
                yield replace(translation, source=line.text, error=line.error) if line.error else translation
            first += len(together)
