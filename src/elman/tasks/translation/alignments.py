"""Translations beside their references, with what the attention of every written token was on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from elman.decode.translation import Beam, Translator
from elman.inspection.beginning import TITLE, beginning
from elman.inspection.look import Part
from elman.lens.source import AlignmentScores, score_alignment
from elman.report import Chapter, Figure, alignment, choice, passages
from elman.report.figure import number
from elman.tasks.translation.subject import Pairs


def look_at_alignments(pairs: Pairs) -> Part:
    """Translations of some sources beside their references, with the attention of each token, where there is one."""
    model, tokenizers = pairs.model, pairs.tokenizers
    attends = model.config.get("attention") != "none"
    translator = Translator(model, tokenizers.source, tokenizers.target, Beam(), alignments=attends)
    every = list(pairs.part.texts())
    shown = [every[row] for row in pairs.shown()]
    groups: list[list[tuple[str, str]]] = []
    options: dict[str, Figure] = {}
    numbers: dict[str, Any] = {}
    for (source, reference), line in zip(shown, translator([source for source, _ in shown]), strict=True):
        best = line.candidates[0]
        same = best.text == reference
        said = best.text or (f"none: {line.error}" if line.error else "(nothing)")
        texts = [
            ("source", source),
            ("translation", said),
            ("reference", reference),
        ]
        groups.append(texts)
        numbers[source] = {"translation": best.text, "reference": reference, "exact": same, "error": line.error}
        if best.alignment is not None and best.tokens:
            weights = np.array(best.alignment)[: len(best.tokens)]
            scores = score_alignment(weights)
            options[f"{len(groups)}: {beginning(source)} {'✓' if same else '✗'}"] = alignment(
                weights,
                line.source_tokens,
                best.tokens,
                title=beginning(best.text, TITLE),
                reading=_reading(scores),
                texts=texts,
                right=same,
            )
            numbers[source] |= vars(scores) | {
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
    return Part(Chapter("Alignments", text, figures, [agreement]), numbers, [*lines, agreement])


def _reading(scores: AlignmentScores) -> str:
    return (
        "A row is a token that was written: the stronger the colour, the more of its attention is on that token of the "
        f"source. Each written token spreads its attention over about {number(float(np.exp(scores.entropy)))} source "
        f"tokens, and the monotonicity is {scores.monotonicity:.2f} (1 is from left to right, 0 is no "
        "order, -1 from right to left)."
    )
