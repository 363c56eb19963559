"""`elman evaluate`: how well a run's model predicts a text, or translates."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli import bounds, completion
from elman.cli.console import Display, clock, print_json, say
from elman.cli.run_argument import RunFolder
from elman.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from elman.runs import Run, TranslationRun


def command(
    run: RunFolder,
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA [TARGETS]",
            help="A text, a folder, JSON lines or a named source; or pairs to translate.",
            autocompletion=completion.data,
        ),
    ],
    lanes: Annotated[
        int | None,
        typer.Option(
            help="An approximation: a text is read in N parts side by side, each after a run-up of 256 tokens, and "
            "what lies further back is not known to it. 1, and the default, are exact: the memory is carried through "
            "the whole text.",
            metavar="N",
            min=1,
        ),
    ] = None,
    beam: Annotated[
        int,
        typer.Option(help="Translations: hypotheses kept a step; 1 is greedy search.", min=1, max=bounds.BEAM),
    ] = 5,
    length_penalty: Annotated[
        float,
        typer.Option(
            help="Translations: above 0 longer, 0 the most probable.",
            min=0,
            max=bounds.LENGTH_PENALTY,
            callback=bounds.finite,
        ),
    ] = 0.6,
    batch: Annotated[int, typer.Option(help="Translations: sentences decoded together.", min=1, max=bounds.BATCH)] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Evaluate RUN's model on DATA.

    A language model: loss in nats a token, perplexity, bits a character. Translation: loss and accuracy token by
    token; BLEU, chrF and exact matches of what the model writes.
    """
    from elman import runs

    loaded = runs.load(run)
    begun = time.perf_counter()
    if isinstance(loaded, runs.Run):
        report, lines = _language_model(loaded, data, lanes)
    else:
        report, lines = _translation(loaded, data, beam, length_penalty, batch)
    seconds = time.perf_counter() - begun
    report = {"run": run, "data": data if len(data) > 1 else data[0], **report, "seconds": round(seconds, 3)}
    if as_json:
        print_json(report)
    if math.isnan(report["loss"]):
        raise _not_a_number(run, loaded.model)
    if not as_json:
        for name, value in [*lines, ("time", clock(seconds))]:
            print(f"{name:<18}  {value}")
    raise typer.Exit(1 if report.get("too_long") else 0)


def _not_a_number(run: str, model: nn.Module) -> UserError:
    bad = sum(int((~parameter.isfinite()).sum()) for parameter in model.parameters())
    why = f"{bad:,} of the weights of {run} are not" if bad else f"the weights of {run} are, but not what they compute"
    return UserError(
        f"the loss is not a number: {why}",
        remedy="train it anew with a lower learning rate (--set learning_rate=...)",
    )


def _language_model(run: Run, data: list[str], lanes: int | None) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    from elman.data.corpus import encode_file
    from elman.metrics.words import words
    from elman.tasks import language_modelling
    from elman.tasks.text_loss import BURN_IN

    if len(data) != 1:
        raise UserError("DATA", expected="one text for a language model", got=f"{len(data)} files", exit_code=2)
    with tempfile.TemporaryDirectory(prefix="elman-") as cache:
        tokens = encode_file(data[0], run.tokenizer, Path(cache))
        if len(tokens) < 2:
            raise UserError(f"{data[0]} is too short to evaluate", expected="at least 2 tokens", got=len(tokens))
        metrics = language_modelling.evaluate(run.model, tokens, run.tokenizer.eod, lanes=lanes)
    unknown = f", {tokens.unknown:,} of them unknown to the model" if tokens.unknown else ""
    exact = lanes is None or lanes == 1
    about = "" if exact else f", approximately: {lanes} lanes, each after a run-up of {BURN_IN} tokens"
    report = {**metrics, "exact": exact, "lanes": lanes, "run_up": None if exact else BURN_IN}
    return {**report, "unknown": tokens.unknown}, [
        ("loss", f"{words(metrics['loss'])} nats a token{about}"),
        ("perplexity", words(metrics["perplexity"], 3)),
        ("bits per character", words(metrics["bits_per_character"])),
        ("tokens", f"{metrics['tokens']:,.0f}{unknown}"),
    ]


def _translation(
    run: TranslationRun, data: list[str], beam: int, length_penalty: float, batch: int
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    from elman.data.pair_corpus import evaluation_part
    from elman.data.tokenizers import Tokenizers
    from elman.decode.translate import Beam, Translator, translate
    from elman.metrics.translation import score
    from elman.metrics.words import words
    from elman.tasks import translation

    source, target = run.source_tokenizer, run.target_tokenizer
    part = evaluation_part(data, Tokenizers(source, target))
    longest = run.model.longest
    too_long = part.limit(None if longest is None else longest - 1)  # its end takes a position
    beyond = f"longer than the model's {longest} positions"
    if not len(part):
        raise UserError(f"every pair of {' and '.join(data)} is {beyond}", remedy="split them")
    if too_long:
        say(f"{too_long:,} of {too_long + len(part):,} pairs are {beyond}: they are left out of all scores")
    assert source.eod is not None
    assert target.eod is not None
    metrics = translation.evaluate(run.model, part, (source.eod, target.eod))
    if math.isnan(metrics["loss"]):
        return metrics, []  # nothing can be decoded
    translator = Translator(run.model, source, target, Beam(beam, 1, length_penalty), batch_size=batch)
    sources, references = zip(*part.texts(), strict=True)
    written = []
    begun = time.perf_counter()
    with Display() as display:
        for one in translate(translator, sources):
            written.append(one)
            display.stage("translating", len(written) / len(sources))
    seconds = time.perf_counter() - begun
    scores = score([one.text for one in written], references)
    if "bleu" not in scores:
        say("without sacrebleu there is neither BLEU nor chrF: pip install 'elman[translate]'")
    unknown = sum(one.unknown for one in written)
    report = {**metrics, **scores, "pairs": len(written), "too_long": too_long, "unknown": unknown}
    report["translating_seconds"] = round(seconds, 3)
    lines = [
        ("loss", f"{words(metrics['loss'])} nats a token"),
        ("accuracy", f"{metrics['accuracy']:.2f} % of the tokens"),
        ("exact match", f"{scores['exact_match']:.2f} %"),
    ]
    for name, title in (("bleu", "BLEU"), ("chrf", "chrF")):
        if name in scores:
            lines.append((title, f"{scores[name]:.2f}  {scores[f'{name}_signature']}"))
    unknown_words = f", {unknown:,} source tokens unknown to the model" if unknown else ""
    lines.append(("pairs", f"{len(written):,}, translated in {clock(seconds)} with a beam of {beam}{unknown_words}"))
    return report, lines
