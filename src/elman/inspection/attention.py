"""Where a Transformer looks: its maps over the text, and what each head is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from elman.inspection.part import Part
from elman.inspection.subject import Subject
from elman.lens.attention import (
    AttentionScores,
    Weights,
    attention_weights,
    even_look,
    induction_scores,
    previous_token_scores,
    score_attention,
)
from elman.lens.heads import LEAST, HeadScores
from elman.models import TransformerLM
from elman.report import Figure, Mark, Section, bar_chart, heatmap
from elman.report.figure import number

ROWS, STEPS, SHOWN = 16, 192, 40
MOST_MAPS = 12  # heads whose map is drawn
INDUCTION = 24  # random tokens that are repeated

TEXT = (
    "Every head of every layer looks back at what was read. Entropy says how widely, the mean distance how far, and "
    "two scores look for heads that do something known: look at the token before, or at what followed the same token "
    "last time (an induction head). A head is named where its score, whichever rows were drawn, is at least "
    f"{LEAST:.0%} of the way from chance to 1; chance is an even look at all that the head can see."
)


def look(subject: Subject) -> Part:
    """The trained model on windows of the text, and on random tokens that are repeated."""
    model = subject.run.model
    assert isinstance(model, TransformerLM)
    windows = subject.windows(ROWS, STEPS)
    every = attention_weights(model, lambda: model.read(windows, resets=subject.resets(windows)))
    scores = [score_attention(weights) for weights in every]
    names = [[f"layer {depth + 1} head {head + 1}" for head in range(w.shape[1])] for depth, w in enumerate(every)]
    previous = previous_token_scores(every, model.window)
    known = torch.from_numpy(np.setdiff1d(subject.tokens, [subject.run.tokenizer.eod]))  # a border would hide the past
    length = min(INDUCTION, model.window or INDUCTION)
    induction = induction_scores(model, length=length, tokens=known) if length > 1 else None
    even = 1 / even_look(np.arange(windows.shape[1]), model.window)  # how many steps each one sees
    flat = [name for layer in names for name in layer]
    figures = _score_figures(flat, scores, even)
    figures += [
        _head_figure(flat, found, look) for found, look in ((previous, PREVIOUS), (induction, INDUCED)) if found
    ]
    shown = min(SHOWN, windows.shape[1])
    symbols = subject.symbols(windows[0, :shown])
    maps = [w[0, head, :shown, :shown] for w in every for head in range(w.shape[1])]
    entropy = np.concatenate([score.entropy for score in scores])
    for index in sorted(np.argsort(entropy, kind="stable")[:MOST_MAPS].tolist()):
        figures.append(_map(flat[index], maps[index], symbols))
    lines = [*_named(names, previous, PREVIOUS, 0), *(_named(names, induction, INDUCED, 1) if induction else [NO_PAST])]
    numbers = {
        name: {
            "entropy": entropy[index],
            "distance": np.concatenate([score.distance for score in scores])[index],
            "previous": previous.mean.flat[index],
            "induction": induction.mean.flat[index] if induction else None,
            "map": maps[index],
        }
        for index, name in enumerate(flat)
    }
    chance = {"previous": previous.chance, "induction": induction.chance if induction else None}
    return Part(
        Section("Attention", TEXT, figures, lines), {"tokens": symbols, "chance": chance, "heads": numbers}, lines
    )


@dataclass(frozen=True)
class Kind:
    """What heads are looked for."""

    kind: str
    title: str
    where: str
    reading: str
    colour: int


PREVIOUS = Kind(
    "a previous-token head",
    "Previous-token score",
    "the token before",
    "The share of a head's weight that lies on the token just before: 1 would be all of it.",
    4,
)
INDUCED = Kind(
    "an induction head",
    "Induction score",
    "what followed the same token last time",
    "Random tokens are read twice, and an induction head looks at what followed the first time. It takes a head of an "
    "earlier layer to know it, so that none is in the first layer, whatever its score.",
    5,
)
NO_PAST = "no head is an induction head: every step sees itself alone"


def _named(names: list[list[str]], found: HeadScores, kind: Kind, first: int) -> list[str]:
    """The heads of the layers from `first` on that stand out, the strongest first; or that there are none."""
    if first >= len(names):
        return [f"no head is {kind.kind}: it takes a head of an earlier layer, and there is one layer"]
    mean, stands_out = found.mean[first:], found.stands_out[first:]
    by_chance = f"chance is {number(found.chance)}"
    order = [np.unravel_index(place, mean.shape) for place in np.argsort(-mean, axis=None, kind="stable")]
    words = [
        (names[first + depth][head], number(float(mean[depth, head])), stands_out[depth, head]) for depth, head in order
    ]
    named = [
        f"{name} is {kind.kind}: {score} of its weight is on {kind.where}; {by_chance}"
        for name, score, out in words
        if out
    ]
    highest, score, _ = words[0]
    return named or [f"no head is {kind.kind} (the highest score, {highest}, is {score}; {by_chance})"]


def _head_figure(names: list[str], found: HeadScores, kind: Kind) -> Figure:
    return bar_chart(
        names,
        found.mean.ravel(),
        title=kind.title,
        x=f"weight on {kind.where}",
        limit=1.0,
        colour=kind.colour,
        marks=[Mark(found.chance, f"chance {number(found.chance)}")],
        reading=kind.reading,
    )


def _score_figures(names: list[str], scores: list[AttentionScores], seen: npt.NDArray[np.float64]) -> list[Figure]:
    """`seen` (T,): how many steps each step sees."""
    widest, middle = float(np.log(seen).mean()), float((seen - 1).mean() / 2)
    return [
        bar_chart(
            names,
            np.concatenate([score.entropy for score in scores]),
            title="Entropy",
            x="nats",
            marks=[Mark(widest, f"an even look {number(widest)}")],
            reading="How widely each head looks: 0 is one token alone, and e to this number about how many share it.",
        ),
        bar_chart(
            names,
            np.concatenate([score.distance for score in scores]),
            title="Mean distance",
            x="steps back",
            colour=3,
            marks=[Mark(middle, f"an even look {number(middle)}")],
            reading="How far back each head looks on average, in steps.",
        ),
    ]


def _map(name: str, weights: Weights, symbols: list[str]) -> Figure:
    return heatmap(
        weights,
        title=f"Where {name} looks",
        x="token looked at",
        y="token that looks",
        rows=symbols,
        columns=symbols,
        limit=float(np.quantile(weights[weights > 0], 0.97)),
        reading="A row is a token that looks and a column one that it looks at: the stronger the colour, the more of "
        "its weight lies there; the diagonal is the token itself.",
    )
