"""Translations beside their references, with what the attention of every written token was on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from elman.decode.translation import Beam, Translator
from elman.inspection.beginning import TITLE, beginning
from elman.inspection.look import Part
from elman.lens.source import AlignmentScores, score_alignment
from elman.metrics.translation import has_phrases, score
from elman.report import Chapter, Figure, alignment, choice, passages
from elman.tasks.translation.subject import PAIRS, Pairs


def look_at_alignments(pairs: Pairs) -> Part:
    """Translations of some sources beside their references, with the attention of each token, where there is one."""
    model, tokenizers = pairs.model, pairs.tokenizers
    attends = model.config.get("attention") != "none"
    translator = Translator(model, tokenizers.source, tokenizers.target, Beam(), alignments=attends)
    every = list(pairs.part.texts())
    shown = [every[row] for row in pairs.shown()]
    groups: list[list[tuple[str, str]]] = []
    options: dict[str, Figure] = {}
    numbers: dict[str, Any] = {}  # by place and source: a source can be there twice
    translations = translator([source for source, _ in shown])
    for at, ((source, reference), line) in enumerate(zip(shown, translations, strict=True), 1):
        best = line.candidates[0]
        same = best.text == reference
        said = best.text or (f"none: {line.error}" if line.error else "(nothing)")
        texts = [("source", source), ("translation", said), ("reference", reference)]
        groups.append(texts)
        found = {"translation": best.text, "reference": reference, "exact": same, "error": line.error}
        numbers[f"{at}: {source}"] = found
        if best.alignment is not None and best.tokens:
            weights = np.array(best.alignment)[: len(best.tokens)]
            scores = score_alignment(weights)
            options[f"{at}: {beginning(source)} {'✓' if same else '✗'}"] = alignment(
                weights,
                line.source_tokens,
                best.tokens,
                title=beginning(best.text, TITLE),
                reading=_reading(scores),
                texts=texts,
                right=same,
            )
            found |= vars(scores) | {
                "written": best.tokens,
                "source": line.source_tokens,
                "weights": weights,
            }
    exact = sum(each["exact"] for each in numbers.values())
    agreement = f"{exact} of {len(groups)} translations are the same as their references"
    text = "Translations of some sources beside their references" + (
        ", and the attention of each token that was written." if attends else ". The model has no attention."
    )
    reading = "Each source, the best translation that a beam search finds, and the reference."
    figures = [passages(groups, title="Translations beside their references", reading=reading)]
    if options:
        chosen = choice(options, title="What each written token looks at")
        figures = [replace(figure, wide=pairs.wide) for figure in (chosen, *figures)]
    lines = [f"{name}: {given}" for group in groups for name, given in group]
    summary = _summary(translator, every[:: max(1, len(every) // PAIRS)][:PAIRS])
    return Part(Chapter("Alignments", text, figures, [summary, agreement]), numbers, [*lines, agreement], summary)


def _summary(translator: Translator, pairs: Sequence[tuple[str, str]]) -> str:
    """The scores of the translations of some pairs, in words."""
    sources, references = zip(*pairs, strict=True)
    scores = score([one.text for one in translator(sources)], references)
    told = [f"{scores['exact_match']:.1f} % are the same as their references"]
    told += [f"chrF is {scores['chrf']:.1f}"] if "chrf" in scores else []
    told += [f"BLEU is {scores['bleu']:.1f}"] if "bleu" in scores and has_phrases(references) else []
    return f"Of the translations of {len(pairs):,} pairs, {', '.join(told)}."


def _reading(scores: AlignmentScores) -> str:
    spread = round(float(np.exp(scores.entropy)))
    return (
        "A row is a token that was written: the stronger the colour, the more of its attention is on that token of the "
        f"source, and full colour is all of it. Each spreads its attention over about {spread} source "
        f"token{'s' * (spread > 1)}, and the monotonicity is {scores.monotonicity:.2f} "
        "(1 is from left to right, 0 is no order, -1 from right to left)."
    )
