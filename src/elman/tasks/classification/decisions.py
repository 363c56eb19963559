"""What each token, or each channel at some steps, did to the label that a classifier gave."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Floats
from elman.inspection.look import Part
from elman.lens.erasure import erase_channels, erase_steps, stretch_edges
from elman.report import Chapter, Figure, bar_chart, choice, heatmap, text_strip
from elman.report.figure import number
from elman.tasks.classification.subject import MOST_STEPS, LabelledSubject

MOST_ERASED = 600  # parts of a series that are erased, each of which is a reading
STRETCHES = 32  # of the steps of a series
MEASURED = 32  # series whose channels are measured
NAMED = 3  # parts that are named in words

UNITS = {
    "class": "log p of the label, in nats",
    "several": "log p of the labels, in nats",
    "number": "the number",
}
TOLD = {"class": ("its log p", " nats"), "several": ("log p of its labels", " nats"), "number": ("the number", "")}
TEXT = (
    "Each {part} is left out in turn, and the sequence read again: the difference is what that part did to the "
    "decision, which is {unit}. Two parts that say the same have little effect each."
)


def look_at_decisions(subject: LabelledSubject) -> Part:
    """What each part of some examples did to the label that the model gave them, right or wrong."""
    text = subject.tokenizer is not None
    rows, unit = subject.shown(), UNITS[subject.labels.kind]
    drawn = [(_of_text if text else _of_series)(subject, row) for row in rows]
    titles = {row: f"{at}: {subject.short_title(row)}" for at, row in enumerate(rows, 1)}
    figures = [
        choice(
            {title: figure for title, (figure, _, _) in zip(titles.values(), drawn, strict=True)},
            title=f"What each {'token' if text else 'channel'} did to the decision",
            reading=f"Orange spoke for the decision, blue against it; the unit is {unit}.",
        )
    ]
    lines = [f"{subject.title(row)}: {words}" for row, (_, words, _) in zip(rows, drawn, strict=True)]
    numbers: dict[str, Any] = {"examples": {str(row): found for row, (_, _, found) in zip(rows, drawn, strict=True)}}
    if not text:
        figure, numbers["channels"] = _channels(subject, unit)
        figures.append(figure)
    words = TEXT.format(part="token" if text else "channel of a few steps", unit=unit)
    return Part(Chapter("Decisions", words, figures, lines), numbers, lines)


def _decision(subject: LabelledSubject, row: int) -> Callable[[Tensor], Tensor]:
    """From logits (B, K) to the number (B,) that stands for the decision about an example."""
    codec, model = subject.labels, subject.model
    if codec.kind == "number":
        return lambda logits: codec.mean + codec.deviation * logits[:, 0]
    target = torch.from_numpy(codec.encode([subject.said[row]]))
    return lambda logits: -model.nats(logits, target.expand(len(logits), *target.shape[1:]))


def _of_text(subject: LabelledSubject, row: int) -> tuple[Figure, str, dict[str, Any]]:
    """The figure of an example, its strongest parts in words, and its numbers."""
    tokens, pieces = torch.from_numpy(subject.examples.inputs[row]), subject.pieces(row)
    stretches = max(1, min(MOST_STEPS, MOST_STEPS**2 // len(tokens)))
    effects = erase_steps(subject.model, tokens, _decision(subject, row), stretches)
    texts = ["".join(pieces[first:last]) for first, last in pairwise(stretch_edges(len(tokens), stretches))]
    reading = "The stronger the colour, the more the decision would change without that part."
    figure = text_strip(texts, effects, title=subject.title(row), reading=reading)
    names = [text.strip() or text for text in texts]
    return figure, _strongest(subject, [f"“{name}”" for name in names], effects), {"tokens": names, "effect": effects}


def _of_series(subject: LabelledSubject, row: int) -> tuple[Figure, str, dict[str, Any]]:
    values = torch.from_numpy(subject.examples.inputs[row])
    stretches = max(1, min(STRETCHES, MOST_ERASED // values.shape[1], MOST_STEPS**2 // len(values)))
    parts, channels = erase_channels(subject.model, values, _decision(subject, row), stretches)
    names = channel_names(len(channels))
    figure = heatmap(
        parts,
        title=subject.title(row),
        x="steps",
        y="channel",
        rows=names,
        columns=[
            f"{first}" if last == first + 1 else f"{first}–{last - 1}"
            for first, last in pairwise(stretch_edges(len(values), stretches))
        ],
        reading="What the decision would lack if the channel had its mean at those steps.",
        wide=True,
    )
    return figure, _strongest(subject, names, channels), {"effect": parts, "channels": channels}


def channel_names(channels: int) -> list[str]:
    """Those of a series' channels, from 1."""
    return [f"channel {channel}" for channel in range(1, channels + 1)]


def _strongest(subject: LabelledSubject, names: list[str], effects: Floats) -> str:
    """The parts that did most, in words."""
    what, unit = TOLD[subject.labels.kind]
    told: list[str] = []
    for at in np.argsort(-np.abs(effects), kind="stable")[:NAMED].tolist():
        moves = "falls" if effects[at] > 0 else "rises"
        told.append(f"without {names[at]} {'it' if told else what} {moves} by {number(abs(float(effects[at])))}{unit}")
    return ", ".join(told)


def _channels(subject: LabelledSubject, unit: str) -> tuple[Figure, Floats]:
    """How much each channel did in all, as a mean over examples, with its 10 % and 90 % quantiles."""
    rows = subject.measured_rows()
    rows = rows[:: max(1, len(rows) // MEASURED)][:MEASURED]
    every = np.stack(
        [
            erase_channels(subject.model, torch.from_numpy(subject.examples.inputs[row]), _decision(subject, row), 1)[1]
            for row in rows
        ]
    )  # (N, C)
    figure = bar_chart(
        channel_names(every.shape[1]),
        every.mean(0),
        low=np.quantile(every, 0.1, axis=0),
        high=np.quantile(every, 0.9, axis=0),
        title="What each channel did",
        x=unit,
        reading=f"The mean over {len(rows)} examples of what the decision would lack if the channel had its mean at "
        "all steps; the line spans the middle 80 % of the examples.",
    )
    return figure, every.mean(0)
