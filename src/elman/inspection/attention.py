"""Where a Transformer looks: its maps over the text, and the heads of a known kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from elman.arrays import Floats
from elman.inspection.look import Part
from elman.inspection.subject import Subject
from elman.lens.attention import (
    LEAST,
    AttentionWeights,
    HeadScores,
    attention_weights,
    induction_scores,
    previous_token_scores,
    score_attention,
    steps_seen,
)
from elman.models import TransformerLM
from elman.report import Chapter, Figure, Mark, bar_chart, heatmap
from elman.report.figure import number
from elman.wording import percent

ROWS, STEPS, SHOWN = 16, 192, 40
MOST_MAPS = 12  # heads whose map is drawn
REPEATED = 24  # random tokens that are read twice

TEXT = (
    "Every head of every layer looks back at the tokens that were read. Entropy says how widely, the mean distance how "
    "far, and two scores look for heads of a known kind: those that look at the token before, and those that look at "
    "the token that followed the same token last time (induction heads). A head is named where its score, whichever "
    f"rows were drawn, is at least {percent(LEAST)} of the way from chance to 1; chance is an even look at all tokens "
    "that the head can see."
)


def look(subject: Subject) -> Part:
    """The trained model on windows of the text, and on random tokens that are repeated."""
    model = subject.model
    assert isinstance(model, TransformerLM)
    windows = subject.windows(ROWS, STEPS, apart=True)
    resets = subject.resets(windows)
    every = attention_weights(model, lambda: model.read(windows, resets=resets))
    seen = steps_seen(np.zeros(windows.shape, bool) if resets is None else resets.numpy(), model.window)
    scores = [score_attention(weights) for weights in every]
    entropies = np.concatenate([score.entropy for score in scores])
    distances = np.concatenate([score.distance for score in scores])
    kinds = {PREVIOUS: previous_token_scores(every, seen), INDUCTION: _induction(subject, model)}
    names = head_names(len(every), model.num_heads)
    shown = min(SHOWN, windows.shape[1])
    symbols = subject.symbols(windows[0, :shown])
    maps = np.concatenate([weights[0, :, :shown, :shown] for weights in every])
    middle = float((seen - 1).mean() / 2)
    figures = [
        entropy_bars(names, entropies, float(np.log(seen).mean())),
        bar_chart(
            names,
            distances,
            title="Mean distance",
            x="steps back",
            colour=3,
            marks=[Mark(middle, f"an even look {number(middle)}")],
            reading="How far back each head looks on average, in steps.",
        ),
        *(_head_figure(names, kind, found) for kind, found in kinds.items() if found),
        *(_map(names[head], maps[head], symbols) for head in sorted(np.argsort(entropies, kind="stable")[:MOST_MAPS])),
    ]
    lines = [line for kind, found in kinds.items() for line in _named(names, kind, found)]
    heads = {
        name: {"entropy": entropies[index], "distance": distances[index], "map": maps[index]}
        | {kind.key: found.mean.flat[index] if found else None for kind, found in kinds.items()}
        for index, name in enumerate(names)
    }
    chance = {kind.key: found.chance if found else None for kind, found in kinds.items()}
    numbers = {"tokens": symbols, "chance": chance, "heads": heads}
    return Part(Chapter("Attention", TEXT, figures, lines), numbers, lines)


def head_names(layers: int, heads: int) -> list[str]:
    """The names of all heads for people, layer by layer."""
    return [f"layer {layer + 1} head {head + 1}" for layer, head in np.ndindex(layers, heads)]


def entropy_bars(
    names: Sequence[str], entropies: Floats, even: float, marks: Sequence[Mark] = (), title: str = "Entropy"
) -> Figure:
    """The entropy of every head beside that of an even look, in nats."""
    return bar_chart(
        names,
        entropies,
        title=title,
        x="nats",
        marks=[Mark(even, f"an even look {number(even)}"), *marks],
        reading="How widely each head looks: 0 is one token alone, and e to this number about how many share it.",
    )


def _induction(subject: Subject, model: TransformerLM) -> HeadScores | None:
    """The scores on the text's tokens but the end of a document; None where every step sees itself alone."""
    known = torch.from_numpy(np.setdiff1d(subject.tokens, [subject.tokenizer.eod]))  # a border would hide the past
    length = min(REPEATED, model.window or REPEATED)
    return induction_scores(model, length=length, tokens=known) if length > 1 else None


@dataclass(frozen=True)
class HeadKind:
    """A kind of head that is looked for."""

    key: str
    name: str
    title: str
    target: str  # the token that such a head looks at
    reading: str
    colour: int
    first: int  # the first layer that can have such a head, from 0


PREVIOUS = HeadKind(
    key="previous",
    name="a previous-token head",
    title="Previous-token score",
    target="the token before",
    reading="The share of a head's weight that lies on the token just before: 1 would be all of it.",
    colour=4,
    first=0,
)
INDUCTION = HeadKind(
    key="induction",
    name="an induction head",
    title="Induction score",
    target="the token that followed the same token last time",
    reading="Random tokens are read twice, and an induction head looks at the token that followed the first time. To "
    "find it, the head needs another head in an earlier layer, so that the first layer has none, whatever its scores.",
    colour=5,
    first=1,
)


def _named(names: list[str], kind: HeadKind, found: HeadScores | None) -> list[str]:
    """A line for each head that stands out, the strongest first; or one line that says that there is none."""
    if found is None:
        return [f"no head is {kind.name}: every step sees itself alone"]
    if kind.first >= len(found.mean):
        return [f"no head is {kind.name}: it takes a head of an earlier layer, and there is one layer"]
    before = kind.first * found.mean.shape[1]  # heads of layers that have none
    mean, stands_out = found.mean.ravel(), found.stands_out.ravel()
    order = before + np.argsort(-mean[before:], kind="stable")
    by_chance = f"chance is {number(found.chance)}"
    named = [
        f"{names[head]} is {kind.name}: {number(float(mean[head]))} of its weight is on {kind.target}; {by_chance}"
        for head in order
        if stands_out[head]
    ]
    highest = f"the highest score, {names[order[0]]}, is {number(float(mean[order[0]]))}"
    return named or [f"no head is {kind.name} ({highest}; {by_chance})"]


def _head_figure(names: list[str], kind: HeadKind, found: HeadScores) -> Figure:
    return bar_chart(
        names,
        found.mean.ravel(),
        title=kind.title,
        x=f"weight on {kind.target}",
        limit=1.0,
        colour=kind.colour,
        marks=[Mark(found.chance, f"chance {number(found.chance)}")],
        reading=kind.reading,
    )


def _map(name: str, weights: AttentionWeights, symbols: list[str]) -> Figure:
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
