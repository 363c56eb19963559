"""Where a Transformer looks: its maps over the text, and what each head is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from elman.inspection.look import Part
from elman.inspection.subject import Subject
from elman.lens.attention import (
    LEAST,
    Floats,
    HeadScores,
    Weights,
    attention_weights,
    induction_scores,
    previous_token_scores,
    score_attention,
    steps_seen,
)
from elman.models import TransformerLM
from elman.report import Chapter, Figure, Mark, bar_chart, heatmap
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
    model = subject.model
    assert isinstance(model, TransformerLM)
    windows = subject.windows(ROWS, STEPS, apart=True)
    resets = subject.resets(windows)
    every = attention_weights(model, lambda: model.read(windows, resets=resets))
    begins = np.zeros(windows.shape, bool) if resets is None else resets.numpy()
    seen = steps_seen(begins, model.window)
    scores = [score_attention(weights) for weights in every]
    entropy = np.concatenate([score.entropy for score in scores])
    distance = np.concatenate([score.distance for score in scores])
    kinds = {PREVIOUS: previous_token_scores(every, seen), INDUCED: _induction(subject, model)}
    names = [f"layer {depth + 1} head {head + 1}" for depth, w in enumerate(every) for head in range(w.shape[1])]
    shown = min(SHOWN, windows.shape[1])
    symbols = subject.symbols(windows[0, :shown])
    maps = [w[0, head, :shown, :shown] for w in every for head in range(w.shape[1])]
    drawn = sorted(np.argsort(entropy, kind="stable")[:MOST_MAPS].tolist())
    figures = [
        *_score_figures(names, entropy, distance, seen),
        *(_head_figure(names, kind, found) for kind, found in kinds.items() if found),
        *(_map(names[index], maps[index], symbols) for index in drawn),
    ]
    lines = [line for kind, found in kinds.items() for line in _named(names, kind, found)]
    heads = {
        name: {"entropy": entropy[index], "distance": distance[index], "map": maps[index]}
        | {kind.key: found.mean.flat[index] if found else None for kind, found in kinds.items()}
        for index, name in enumerate(names)
    }
    chance = {kind.key: found.chance if found else None for kind, found in kinds.items()}
    numbers = {"tokens": symbols, "chance": chance, "heads": heads}
    return Part(Chapter("Attention", TEXT, figures, lines), numbers, lines)


def _induction(subject: Subject, model: TransformerLM) -> HeadScores | None:
    """On tokens of the text but those that end a document; None where every step sees itself alone."""
    known = torch.from_numpy(np.setdiff1d(subject.tokens, [subject.tokenizer.eod]))  # a border would hide the past
    length = min(INDUCTION, model.window or INDUCTION)
    return induction_scores(model, length=length, tokens=known) if length > 1 else None


@dataclass(frozen=True)
class Kind:
    """What heads are looked for."""

    key: str
    name: str
    title: str
    where: str
    reading: str
    colour: int
    first: int  # the layer from which on there can be one, from 0


PREVIOUS = Kind(
    "previous",
    "a previous-token head",
    "Previous-token score",
    "the token before",
    "The share of a head's weight that lies on the token just before: 1 would be all of it.",
    4,
    0,
)
INDUCED = Kind(
    "induction",
    "an induction head",
    "Induction score",
    "what followed the same token last time",
    "Random tokens are read twice, and an induction head looks at what followed the first time. It takes a head of an "
    "earlier layer to know it, so that none is in the first layer, whatever its score.",
    5,
    1,
)


def _named(names: list[str], kind: Kind, found: HeadScores | None) -> list[str]:
    """The heads that stand out, the strongest first; or that there are none."""
    if found is None:
        return [f"no head is {kind.name}: every step sees itself alone"]
    if kind.first >= len(found.mean):
        return [f"no head is {kind.name}: it takes a head of an earlier layer, and there is one layer"]
    before = kind.first * found.mean.shape[1]  # heads of layers that have none
    mean, stands_out = found.mean.ravel(), found.stands_out.ravel()
    order = before + np.argsort(-mean[before:], kind="stable")
    by_chance = f"chance is {number(found.chance)}"
    named = [
        f"{names[head]} is {kind.name}: {number(float(mean[head]))} of its weight is on {kind.where}; {by_chance}"
        for head in order
        if stands_out[head]
    ]
    highest = f"the highest score, {names[order[0]]}, is {number(float(mean[order[0]]))}"
    return named or [f"no head is {kind.name} ({highest}; {by_chance})"]


def _head_figure(names: list[str], kind: Kind, found: HeadScores) -> Figure:
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


def _score_figures(names: list[str], entropy: Floats, distance: Floats, seen: npt.NDArray[np.int64]) -> list[Figure]:
    """`seen` (B, T): how many steps each step sees."""
    widest, middle = float(np.log(seen).mean()), float((seen - 1).mean() / 2)
    return [
        bar_chart(
            names,
            entropy,
            title="Entropy",
            x="nats",
            marks=[Mark(widest, f"an even look {number(widest)}")],
            reading="How widely each head looks: 0 is one token alone, and e to this number about how many share it.",
        ),
        bar_chart(
            names,
            distance,
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
