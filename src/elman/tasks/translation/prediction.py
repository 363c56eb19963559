"""Translations of lines as they arrive, for people and for programs: text, n-best lists, alignments, JSON."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from rich.cells import cell_len

from elman.data.linefile import InputLine
from elman.decode.constraints import Constraints
from elman.decode.translation import Beam, Candidate, Sampling, TranslatedLine, Translator
from elman.errors import UserError
from elman.tasks.exchange import Answer, Inputs, Say, Trained, in_table, table_in
from elman.tasks.translation.settings import PredictionOptions

SHADES = "·░▒▓█"  # of the weights nearest to 0, 1/4, 1/2, 3/4 and 1
# A text in a line of fields between bars keeps no character that a reader could take for a bar, a line's end or an
# escape.
ESCAPES = str.maketrans({"\\": r"\\", "|": r"\|", "\n": r"\n", "\r": r"\r"})
ESCAPES |= {ord(end): f"\\u{ord(end):04x}" for end in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"}  # for str.splitlines


def predict(run: Trained, inputs: Inputs, options: PredictionOptions, say: Say) -> Iterator[Answer]:
    """Translate every line; those that arrive together are decoded together.

    One table in memory, with a source a row, is given back with a column of translations.
    """
    if inputs.memory is not None and (rows := table_in(inputs.memory)) is not None:
        yield in_table(rows, _answers(run, replace(inputs, memory=rows), options, say), say)
    else:
        yield from _answers(run, inputs, options, say)


def _answers(run: Trained, inputs: Inputs, options: PredictionOptions, say: Say) -> Iterator[Answer]:
    lines = inputs.arriving if inputs.memory is None else [_as_lines(inputs.memory)]
    translator = _translator(run, options)
    if unknown := run.target_tokenizer.count_unknown(run.target_tokenizer.encode(options.prefix).tolist()):
        say(f"warning: {unknown} of the prefix's tokens are unknown to the model")
    seed = getattr(translator.search, "seed", None)
    for translation in _in_windows(translator, lines):
        texts = [candidate.text for candidate in translation.candidates]
        yield Answer(
            translation.number,
            texts[0] if options.nbest == 1 else texts,
            list(text_lines(translation, options.nbest)),
            record(translation, seed, options.nbest),
            translation.error,
        )


def _as_lines(texts: Sequence[Any]) -> list[InputLine]:
    """Texts, or mappings with a text as their source, as lines."""
    lines = [text.get("source") if isinstance(text, Mapping) else text for text in texts]
    for text, line in zip(texts, lines, strict=True):
        if not isinstance(line, str):
            got = reprlib.repr(text) if isinstance(text, Mapping) else type(text).__name__
            raise UserError("inputs", expected="a text or texts, or a column 'source' of these", got=got)
    return [InputLine(str(line)) for line in lines]


def _in_windows(translator: Translator, arrivals: Iterable[Sequence[InputLine]]) -> Iterator[TranslatedLine]:
    first = 1
    for arrived in arrivals:
        for start in range(0, len(arrived), translator.window):
            together = arrived[start : start + translator.window]
            translations = translator(["" if line.error else line.text for line in together], first)
            for translation, line in zip(translations, together, strict=True):
                yield replace(translation, source=line.text, error=line.error) if line.error else translation
            first += len(together)


def _translator(run: Trained, o: PredictionOptions) -> Translator:
    try:
        o.prefix.encode()  # an argument that is no UTF-8 has become surrogates
    except UnicodeError:
        raise UserError("--prefix", expected="UTF-8 text", got="something else", exit_code=2) from None
    if o.sample:
        seed = torch.Generator().seed() % 2**31 if o.seed is None else o.seed
        search: Beam | Sampling = Sampling(seed, o.nbest, o.temperature, o.top_k, o.top_p, o.min_p)
    else:
        search = Beam(o.beam, o.nbest, o.length_penalty, o.coverage_penalty)
    return Translator(
        run.model,
        run.source_tokenizer,
        run.target_tokenizer,
        search,
        Constraints(min_length=o.min_length, max_length=o.max_length, block_ngrams=o.block_ngrams),
        prefix=o.prefix,
        batch_size=o.batch,
        max_source=o.max_source,
        alignments=o.alignments,
    )


def text_lines(translation: TranslatedLine, nbest: int) -> Iterator[str]:
    """A translation as text: a line each, and the matrix of its alignment where there is one."""
    for candidate in translation.candidates:
        yield " ".join(candidate.text.splitlines()) if nbest == 1 else _fields(translation, candidate)
        if candidate.alignment is not None:
            if candidate.tokens:
                yield from alignment_lines(candidate.alignment, candidate.tokens, translation.source_tokens)
            yield ""


def _fields(translation: TranslatedLine, candidate: Candidate) -> str:
    score = "-inf" if translation.error else f"{candidate.score:.4f}"
    return f"{translation.number} ||| {escape(candidate.text)} ||| {score}"


def alignment_lines(weights: Sequence[Sequence[float]], target: Sequence[str], source: Sequence[str]) -> Iterator[str]:
    """The lines of a matrix of weights, each from 0 to 1, with the tokens beside and above it.

    >>> print(*alignment_lines([[0.9, 0.1], [0.2, 0.5]], ["la", "casa"], ["the", "house"]), sep="\\n")
          the house
      la  ███ ·····
    casa  ░░░ ▒▒▒▒▒
    """
    left = max(map(cell_len, target), default=0)
    yield " " * left + "  " + " ".join(source)
    for token, row in zip(target, weights, strict=True):
        cells = [SHADES[round(4 * min(1.0, x))] * cell_len(name) for x, name in zip(row, source, strict=True)]
        yield " " * (left - cell_len(token)) + token + "  " + " ".join(cells)


def escape(text: str) -> str:
    r"""A text as a field of an n-best line, without a bar or a line's end; a reader can undo the escapes.

    >>> print(escape("a ||| b" + chr(10) + "c:\\d"))
    a \|\|\| b\nc:\\d
    """
    return text.translate(ESCAPES)


def record(translation: TranslatedLine, seed: int | None, nbest: int) -> dict[str, Any]:
    """A translation as a JSON object; with `nbest` above 1 all of its candidates are in "nbest"."""
    line = {"line": translation.number, "source": translation.source}
    if translation.error:
        return {**line, "error": translation.error, "text": ""}
    candidates = [_candidate(candidate) for candidate in translation.candidates]
    return {
        **line,
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
