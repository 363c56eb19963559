"""Where a Transformer looks: its maps over the text, and what each head is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from elman.inspection.part import Part
from elman.inspection.subject import Subject
from elman.lens.attention import AttentionScores, Weights, attention_weights, induction_score, score_attention
from elman.report import Figure, Section, bar_chart, heatmap
from elman.report.figure import number

ROWS, STEPS, SHOWN = 16, 192, 40
MOST_MAPS = 12  # heads whose map is drawn
INDUCTION = 24  # random tokens that are repeated

TEXT = (
    "Every head of every layer looks back at what was read. Entropy says how widely, the mean distance how far, and "
    "two scores find heads that do something known: look at the token before, or at what followed the same token last "
    "time (an induction head)."
)


def look(subject: Subject) -> Part:
    """The trained model on windows of the text, and on random tokens that are repeated."""
    model = subject.run.model
    windows = subject.windows(ROWS, STEPS)
    every = attention_weights(model, lambda: model.read(windows, resets=subject.resets(windows)))
    scores = [score_attention(weights) for weights in every]
    length = min(INDUCTION, getattr(model, "window", None) or INDUCTION)
    known = torch.from_numpy(np.setdiff1d(subject.tokens, [subject.run.tokenizer.eod]))  # a border would hide the past
    induction = induction_score(model, length=length, tokens=known)
    seen = np.minimum(np.arange(length, 2 * length) + 1, getattr(model, "window", None) or 2 * length)
    chance = float((1 / seen).mean())
    names = [f"layer {depth + 1} head {head + 1}" for depth, w in enumerate(every) for head in range(w.shape[1])]
    figures = _score_figures(names, scores, np.concatenate(induction), chance)
    shown = min(SHOWN, windows.shape[1])
    symbols = subject.symbols(windows[0, :shown])
    maps = [w[0, head, :shown, :shown] for w in every for head in range(w.shape[1])]
    entropy = np.concatenate([score.entropy for score in scores])
    for index in sorted(np.argsort(entropy, kind="stable")[:MOST_MAPS].tolist()):
        figures.append(_map(names[index], maps[index], symbols))
    previous = np.concatenate([score.previous for score in scores])
    best = np.concatenate(induction)
    lines = [
        f"the head that looks most at the token before is {_best(names, previous)}",
        f"the head that is most an induction head is {_best(names, best)}; by chance it would be {number(chance)}",
    ]
    numbers = {
        name: {
            "entropy": entropy[index],
            "distance": np.concatenate([score.distance for score in scores])[index],
            "previous": previous[index],
            "induction": best[index],
            "map": maps[index],
        }
        for index, name in enumerate(names)
    }
    return Part(Section("Attention", TEXT, figures, lines), {"tokens": symbols, "heads": numbers}, lines)


def _best(names: list[str], values: npt.NDArray[np.float64]) -> str:
    index = int(values.argmax())
    return f"{names[index]} ({number(float(values[index]))} of its weight)"


def _score_figures(
    names: list[str], scores: list[AttentionScores], induction: npt.NDArray[np.float64], chance: float
) -> list[Figure]:
    previous = np.concatenate([score.previous for score in scores])
    return [
        bar_chart(
            names,
            np.concatenate([score.entropy for score in scores]),
            title="Entropy",
            x="nats",
            reading="How widely each head looks: 0 is one token alone, and e to this number about how many share it.",
        ),
        bar_chart(
            names,
            np.concatenate([score.distance for score in scores]),
            title="Mean distance",
            x="steps back",
            colour=3,
            reading="How far back each head looks on average, in steps.",
        ),
        bar_chart(
            names,
            previous,
            title="Previous-token score",
            x="weight on the token before",
            limit=1.0,
            colour=4,
            reading="The share of a head's weight that lies on the token just before: 1 would be all of it.",
        ),
        bar_chart(
            names,
            induction,
            title="Induction score",
            x="weight on what followed the same token last time",
            limit=1.0,
            colour=5,
            reading="Random tokens are read twice, and an induction head looks at what followed the first time: "
            f"by chance the share would be about {number(chance)}.",
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
