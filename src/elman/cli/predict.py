"""`elman predict`: translate lines with a run's model."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from elman.cli.alignment import alignment_lines
from elman.cli.console import Display, print_json, say
from elman.cli.sampling_options import MinP, TopK, TopP
from elman.errors import UserError

if TYPE_CHECKING:
    from elman.decode.translate import Beam, Candidate, Sampling, Translation, Translator

BEAM = 5
ARGUMENTS = {  # options, and what `Beam` and `Sampling` call them
    "--beam": "width",
    "--length-penalty": "length_alpha",
    "--coverage-penalty": "coverage_beta",
    "--temperature": "temperature",
    "--top-k": "k",
    "--top-p": "p",
    "--min-p": "floor",
    "--seed": "seed",
}
BLOCK = 1 << 16  # bytes of stdin that are read at once, if so many are there


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder that `elman train` made.")],
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="A sentence a line; - or nothing reads stdin.")] = "-",
    beam: Annotated[int | None, typer.Option(help="Hypotheses kept; 1 is greedy search; default 5.", min=1)] = None,
    nbest: Annotated[int, typer.Option(help="Translations of each line, or samples.", min=1)] = 1,
    length_penalty: Annotated[
        float | None, typer.Option(help="Above 0 longer, 0 the most probable; default 0.6.", min=0)
    ] = None,
    coverage_penalty: Annotated[
        float | None, typer.Option(help="Above 0 passes over less of the source; default 0.", min=0)
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Draw at random instead of searching.")] = False,
    temperature: Annotated[float | None, typer.Option(help="Above 1 bolder, below 1 safer; default 1.", min=0)] = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    seed: Annotated[int | None, typer.Option(help="For the same samples again.", min=0, max=2**63 - 1)] = None,
    prefix: Annotated[str, typer.Option(help="What every translation begins with.")] = "",
    min_length: Annotated[int, typer.Option(help="The fewest tokens of a translation.", min=0)] = 0,
    max_length: Annotated[
        int | None,
        typer.Option(help="The most tokens of a translation; default three times the source, and 30.", min=0),
    ] = None,
    block_ngrams: Annotated[int | None, typer.Option(help="Write no N tokens twice.", min=1)] = None,
    batch: Annotated[int, typer.Option(help="Sentences decoded together.", min=1)] = 64,
    max_source: Annotated[int, typer.Option(help="The most tokens of a line.", min=1)] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
    alignments: Annotated[bool, typer.Option("--alignments", help="Show what each token attended to.")] = False,
) -> None:
    """Translate the lines of FILE with RUN's model to stdout, in their order.

    With --nbest above 1 a line has several: number of the line ||| translation ||| score.
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
    for translation in _translated(translator, file):
        if as_json:
            record = _record(translation, getattr(search, "seed", None), nbest)
            print_json(record, ensure_ascii=False)
        else:
            print(*_lines(translation, nbest), sep="\n", flush=True)


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
        if not math.isfinite(value):
            raise UserError(name, expected="a number", got=value, exit_code=2)
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
        yield from _in_windows(translator, textfile.decode(blocks, Path("stdin")))
        return
    path = Path(file)
    # Where the translations are on the terminal too, progress would get in their way.
    shown = sys.stderr is not None and sys.stderr.isatty() and not sys.stdout.isatty()
    with textfile.open_binary(path) as raw, Display() if shown else nullcontext() as display:
        size = max(1, path.stat().st_size)
        for translation in _in_windows(translator, textfile.decode(textfile.decompress(raw, path), path)):
            yield translation
            if display:
                display.stage("translating", raw.tell() / size, f"{translation.number:,} lines")


def _in_windows(translator: Translator, texts: Iterable[str]) -> Iterator[Translation]:
    """Translate what has arrived: never waits for a further line where there is a whole one."""
    first = 1
    for lines in _arriving_lines(texts):
        for start in range(0, len(lines), translator.window):
            together = lines[start : start + translator.window]
            yield from translator(together, first)
            first += len(together)


def _arriving_lines(texts: Iterable[str]) -> Iterator[list[str]]:
    """The lines that each block of text completes; one without an end is the last."""
    parts: list[str] = []
    for text in texts:
        begin, *more = text.split("\n")
        parts.append(begin)
        if more:
            yield ["".join(parts), *more[:-1]]
            parts = more[-1:]
    if last := "".join(parts):
        yield [last]


def _record(translation: Translation, seed: int | None, nbest: int) -> dict[str, Any]:
    """A translation as a JSON object; with `nbest` above 1 all of its candidates are in "nbest"."""
    candidates = [_candidate(candidate) for candidate in translation.candidates]
    return {
        "line": translation.number,
        "source": translation.source,
        "unknown": translation.unknown,
        **({} if seed is None else {"seed": seed}),
        **candidates[0],
        **({} if candidates[0].get("alignment") is None else {"source_tokens": translation.source_tokens}),
        **({} if nbest == 1 else {"nbest": candidates}),
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    record: dict[str, Any] = {
        "text": candidate.text,
        "score": round(candidate.score, 6),
        "log_probability": round(candidate.log_probability, 6),
        "tokens": candidate.tokens,
    }
    if candidate.alignment is not None:
        record["alignment"] = [[round(weight, 4) for weight in row] for row in candidate.alignment]
    return record


def _lines(translation: Translation, nbest: int) -> Iterator[str]:
    """A translation as text: a line each, and the matrix of its alignment where there is one."""
    for candidate in translation.candidates:
        text = " ".join(candidate.text.splitlines())  # a line in is a line out
        yield text if nbest == 1 else f"{translation.number} ||| {text} ||| {candidate.score:.4f}"
        if candidate.alignment is not None:
            if candidate.tokens:
                yield from alignment_lines(candidate.alignment, candidate.tokens, translation.source_tokens)
            yield ""
