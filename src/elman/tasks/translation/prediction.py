"""Translations of lines as they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from elman.data.linefile import InputLine
from elman.decode.constraints import Constraints
from elman.decode.translation import Beam, Sampling, TranslatedLine, Translator
from elman.errors import UserError
from elman.tasks.task import Answer, Say, Trained
from elman.tasks.translation import printing
from elman.tasks.translation.settings import Decoding, PredictionOptions


def predict(
    run: Trained, lines: Iterable[Sequence[InputLine]], options: PredictionOptions, say: Say
) -> Iterator[Answer]:
    """Translate every line; those that arrive together are decoded together."""
    translator = _translator(run, options)
    if unknown := run.target_tokenizer.count_unknown(run.target_tokenizer.encode(options.prefix).tolist()):
        say(f"warning: {unknown} of the prefix's tokens are unknown to the model")
    seed = getattr(translator.search, "seed", None)
    for translation in _in_windows(translator, lines):
        texts = [candidate.text for candidate in translation.candidates]
        yield Answer(
            translation.number,
            texts[0] if options.nbest == 1 else texts,
            list(printing.lines(translation, options.nbest)),
            printing.record(translation, seed, options.nbest),
            translation.error,
        )


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
    return Translator(
        run.model,
        run.source_tokenizer,
        run.target_tokenizer,
        search=_sampling(o) if o.sample else beam(o, n_best=o.nbest, coverage_beta=o.coverage_penalty),
        constraints=Constraints(min_length=o.min_length, max_length=o.max_length, block_ngrams=o.block_ngrams),
        prefix=o.prefix,
        batch_size=o.batch,
        max_source=o.max_source,
        alignments=o.alignments,
    )


def beam(options: Decoding, **others: Any) -> Beam:
    """The search that options ask for."""
    return Beam(options.beam, length_alpha=options.length_penalty, **others)


def _sampling(o: PredictionOptions) -> Sampling:
    seed = torch.Generator().seed() % 2**31 if o.seed is None else o.seed
    return Sampling(seed, o.nbest, o.temperature, o.top_k, o.top_p, o.min_p)
