"""The scores of an encoder-decoder on pairs: its loss on their tokens, and those of the texts that it writes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from itertools import islice

from elman.data.pair_corpus import ParallelCorpus, evaluation_part
from elman.data.tokenizers import Tokenizers
from elman.decode.translation import Beam, Translator, translate
from elman.distributed import ALONE, Ranks
from elman.errors import UserError
from elman.metrics.sums import score_of_all
from elman.metrics.translation import has_phrases, score, score_of_sums, statistics
from elman.metrics.words import words
from elman.models import EncoderDecoder
from elman.tasks.exchange import Evaluation, Progress, Say, Sources, Trained, ValidationScores
from elman.tasks.translation.objective import evaluate, pair_losses
from elman.tasks.translation.settings import Decoding, PairTraining


def evaluate_pairs(run: Trained, data: Sources, options: Decoding, say: Say, progress: Progress) -> Evaluation:
    """Score every pair that the model's positions hold.

    Raises:
        UserError: no such pairs, or all of them are too long.
    """
    tokenizers = Tokenizers(run.source_tokenizer, run.target_tokenizer)
    part = evaluation_part(data, tokenizers)
    longest = run.model.longest
    too_long = part.limit(None if longest is None else longest - 1)  # its end takes a position
    beyond = f"longer than the model's {longest} positions"
    if not len(part):
        raise UserError(f"every pair of {' and '.join(map(str, data))} is {beyond}", remedy="split them")
    if too_long:
        say(f"{too_long:,} of {too_long + len(part):,} pairs are {beyond}: they are left out of all scores")
    metrics = evaluate(run.model, part)
    if math.isnan(metrics["loss"]):
        return Evaluation(metrics, [])  # nothing can be decoded
    search = Beam(options.beam, length_alpha=options.length_penalty)
    translator = Translator(run.model, *tokenizers, search, batch_size=options.batch)
    sources, references = zip(*part.texts(), strict=True)
    written = []
    begun = time.perf_counter()
    for one in translate(translator, sources):
        written.append(one)
        progress("translating", len(written) / len(sources))
    seconds = time.perf_counter() - begun
    scores = score([one.text for one in written], references)
    if "bleu" not in scores:
        say("without sacrebleu there is neither BLEU nor chrF: pip install 'elman[translate]'")
    unknown = sum(one.unknown for one in written)
    report = {**metrics, **scores, "pairs": len(written), "too_long": too_long, "unknown": unknown}
    lines = [
        ("loss", f"{words(metrics['loss'])} nats a token"),
        ("accuracy", f"{metrics['accuracy']:.2f} % of the tokens"),
        ("exact match", f"{scores['exact_match']:.2f} %"),
    ]
    for name, title in (("bleu", "BLEU"), ("chrf", "chrF")):
        if name == "bleu" and scores.get(name) == 0 and not has_phrases(references):
            lines.append((title, "none: BLEU needs references of four words or more"))
        elif name in scores:
            lines.append((title, f"{scores[name]:.2f}  {scores[f'{name}_signature']}"))
    unknown_words = f", {unknown:,} source tokens unknown to the model" if unknown else ""
    lines.append(
        ("pairs", f"{len(written):,}, translated in {seconds:.1f}s with a beam of {options.beam}{unknown_words}")
    )
    return Evaluation(report | {"translating_seconds": round(seconds, 3)}, lines, complete=not too_long)


def greedy_scores(
    model: EncoderDecoder, ranks: Ranks = ALONE, *, corpus: ParallelCorpus, sentences: int
) -> dict[str, float]:
    """Exact matches and, with sacrebleu, BLEU and chrF of greedy translations of the first validation pairs."""
    found = score(*_greedy(model, ranks, corpus, sentences))
    return {name: value for name, value in found.items() if isinstance(value, float)}


def measurement(model: EncoderDecoder, corpus: ParallelCorpus) -> ValidationScores:
    """The loss of every validation pair; scores of greedy translations, as many as a validation scores by default.

    Where no reference has four words, BLEU says nothing and is left out.
    """
    losses, targets = pair_losses(model, corpus.valid)
    if not math.isfinite(losses.sum()):
        return ValidationScores(losses, targets)  # nothing can be decoded
    written, references = _greedy(model, ALONE, corpus, PairTraining().validation_sentences)
    terms = statistics(written, references)
    if not has_phrases(references):
        terms.pop("bleu", None)
    scores = {name: score_of_all(found, partial(score_of_sums, name)) for name, found in terms.items()}
    return ValidationScores(losses, targets, scores, terms)


def _greedy(
    model: EncoderDecoder, ranks: Ranks, corpus: ParallelCorpus, sentences: int
) -> tuple[list[str], Sequence[str]]:
    """Greedy translations of the first validation pairs, of which each rank writes its part, and their references."""
    translator = Translator(model, corpus.source_tokenizer, corpus.target_tokenizer, Beam(beam=1), batch_size=128)
    sources, references = zip(*islice(corpus.valid.texts(), sentences), strict=True)
    every = ranks.texts([translation.text for translation in translator(list(ranks.mine(sources)))])
    return [every[at % ranks.size][at // ranks.size] for at in range(len(sources))], references
