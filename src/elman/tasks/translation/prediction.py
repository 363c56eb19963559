"""Translations of lines as they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch

from elman.data.linefile import InputLine
from elman.decode.constraints import Constraints
from elman.decode.translate import Beam, Sampling, Translation, Translator
from elman.errors import UserError
from elman.tasks.task import Answer, Say, Trained
from elman.tasks.translation import printing
from elman.tasks.translation.settings import PredictionOptions


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


def _in_windows(translator: Translator, arrivals: Iterable[Sequence[InputLine]]) -> Iterator[Translation]:
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
    search: Beam | Sampling = Beam(o.beam, o.nbest, o.length_penalty, o.coverage_penalty)
    if o.sample:
        seed = torch.Generator().seed() % 2**31 if o.seed is None else o.seed
        search = Sampling(seed, o.nbest, o.temperature, o.top_k, o.top_p, o.min_p)
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
