"""A classifier under the lens: what it confuses, what its labels depend on, what it pools, and its gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Floats, Numbers
from elman.cells import cell_named
from elman.inspection import gates
from elman.inspection.clipped_steps import has_no_journal, look_at_journal
from elman.inspection.look import Look, Part
from elman.inspection.untrained import KEYS
from elman.lens.gates import gated, gates_of, read_gates
from elman.lens.observe import evaluating, from_vectors
from elman.lens.visit import visit_layers
from elman.models.classifier import Classifier
from elman.report import Chapter, Figure, Line, choice, line_chart, text_strip
from elman.report.figure import number
from elman.tasks.classification.answers import look_at_answers
from elman.tasks.classification.decisions import look_at_decisions
from elman.tasks.classification.subject import LabelledSubject

TENTHS = 10
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "last")
LEAST_STEPS = 20  # of sequences whose tenths are told
CHANNELS = 3  # of a series that are drawn


def look_at_inputs(subject: LabelledSubject) -> Part:
    """How much the loss of some examples depends on each of their steps."""

    def of(model: Classifier, rows: Sequence[int]) -> list[Floats]:
        return input_gradients(model, *_loss_of(subject, rows))

    return _over_steps(
        subject,
        of,
        title="Inputs",
        text="How much the loss depends on each step of an example: the norm of its gradient by what was read there.",
        symbol="‖∂L/∂x‖",
        unit="gradient",
        reading="the more the loss would change with that step.",
    )


def look_at_pooling(subject: LabelledSubject) -> Part:
    """How much of what is pooled is of each step."""

    def of(model: Classifier, rows: Sequence[int]) -> list[Floats]:
        batch = subject.batch(rows)
        weights = model.pooling_weights(batch.inputs, lengths=batch.lengths).double().numpy()
        return [row[:length] for row, length in zip(weights, batch.lengths.tolist(), strict=True)]

    kinds = {
        "attention": "the weight of its attention",
        "max": "the share of the units that are greatest there",
        "mean": "the same share, since the mean is taken",
        "last": "all of it at the ends, since the last states are taken",
    }
    return _over_steps(
        subject,
        of,
        title="Pooling",
        text="How much of the vector that the label is read from comes from each step: "
        f"{kinds[subject.model.settings.pooling]}.",
        symbol="pooled",
        unit="pooled vector",
        reading="the more of the pooled vector is of that step.",
    )


def _over_steps(
    subject: LabelledSubject,
    measure: Callable[[Classifier, Sequence[int]], list[Floats]],
    *,
    title: str,
    text: str,
    symbol: str,
    unit: str,
    reading: str,
) -> Part:
    """A chapter of a measure that every step of an example has."""
    rows = subject.shown()
    every = subject.measured_rows()
    found = dict(zip(rows, measure(subject.model, rows), strict=True))
    reading = f"The {'higher the line' if subject.tokenizer is None else 'stronger the colour'}, {reading}"
    options = {
        f"{at}: {subject.short_title(row)}": _drawn(subject, row, values, symbol, reading)
        for at, (row, values) in enumerate(found.items(), 1)
    }
    shares = {name: by_tenth(measure(model, every)) for name, model in subject.models.items()}
    middle = (np.arange(TENTHS) + 0.5) / TENTHS
    lines = [
        Line(name, middle, share, colour=1 if name == KEYS[0] else 2, dashed=name != KEYS[0])
        for name, share in shares.items()
    ]
    chart = line_chart(
        lines,
        title=f"{title}: where in a sequence",
        x="place in the sequence, from its beginning (0) to its end (1)",
        y=f"share of the {unit}",
        reading=f"The mean over {len(every)} examples: a level line at {1 / TENTHS:g} is all places alike.",
    )
    words = f"{title.lower()}: {most_of(shares[KEYS[0]], unit, subject.examples.lengths[every])}"
    numbers = {
        "tenths": {key: shares[name] for key, name in zip(KEYS, shares, strict=True)},
        "examples": {str(row): values for row, values in found.items()},
    }
    return Part(
        Chapter(title, text, [chart, choice(options, title=f"{title}: step by step")], [words]), numbers, [words]
    )


def most_of(shares: Floats, unit: str, lengths: Numbers) -> str:
    """Which tenth of the sequences has most of the shares (10,), or which half where there are few steps."""
    part = "tenth" if np.median(lengths) >= LEAST_STEPS else "half"
    shares = shares if part == "tenth" else shares.reshape(2, -1).sum(1)
    place = int(shares.argmax())
    ordinal = ORDINALS[place] if part == "tenth" else ("first", "second")[place]
    return (
        f"the {ordinal} {part} of the steps has most of the {unit}, {100 * shares[place]:.1f} % (an even share "
        f"is {100 / len(shares):g} %)"
    )


def by_tenth(values: Sequence[Floats]) -> Floats:
    """The mean share (10,) of sequences' values in each tenth of their steps; a step may lie in several tenths.

    >>> by_tenth([np.array([3.0, 1.0])]).round(3).tolist()
    [0.15, 0.15, 0.15, 0.15, 0.15, 0.05, 0.05, 0.05, 0.05, 0.05]
    """
    shares = np.zeros(TENTHS)
    for row in values:
        edges = np.linspace(0, len(row), TENTHS + 1)
        sums = np.interp(edges, np.arange(len(row) + 1), np.concatenate(([0.0], row.cumsum())))
        shares += np.diff(sums) / (sums[-1] or 1.0)
    return shares / len(values)


def _drawn(subject: LabelledSubject, row: int, values: Floats, symbol: str, reading: str) -> Figure:
    """An example with a number at each step: its tokens in colour, or its channels with a line."""
    title = subject.title(row)
    if subject.tokenizer is not None:
        return text_strip(subject.pieces(row), values, title=title, reading=reading)
    series, steps = subject.examples.inputs[row], np.arange(len(values))
    C = series.shape[1]
    seen = np.nan_to_num(series)
    drawn = np.sort(np.argsort(-seen.std(0), kind="stable")[:CHANNELS]).tolist()
    lines = [
        Line(f"channel {channel + 1}", steps, series[:, channel].astype(np.float64), colour=colour)
        for colour, channel in enumerate(drawn, 2)
    ]
    factor = float(f"{np.abs(seen[:, drawn]).max(initial=0.0) / (values.max(initial=0.0) or 1.0):.2g}") or 1.0
    lines.append(Line(f"{symbol} × {number(factor)}", steps, values * factor, colour=1))
    if C > CHANNELS:
        reading += f" Of the {C} channels, the {CHANNELS} that vary most in this example are drawn."
    return line_chart(lines, title=title, x="step", y="standardised value", reading=reading, wide=True)


def _loss_of(subject: LabelledSubject, rows: Sequence[int]) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """The inputs and lengths of examples, and their summed loss, of logits (B, K)."""
    batch = subject.batch(rows)
    assert batch.targets is not None
    targets = batch.targets

    def loss(logits: Tensor) -> Tensor:
        if subject.labels.kind == "number":
            return 0.5 * ((logits[:, 0] - targets) ** 2).sum()
        if subject.labels.kind == "several":
            return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    return batch.inputs, batch.lengths, loss


def input_gradients(
    model: Classifier, inputs: Tensor, lengths: Tensor, loss: Callable[[Tensor], Tensor]
) -> list[Floats]:
    """‖∂L / ∂x_t‖ of each sequence, (T,) without its padding; L is a sum over sequences, of which none needs another.

    x_t is the embedding of a token, or the channels of a series at a step.
    """
    with evaluating(model), torch.enable_grad():
        (logits, _), x = from_vectors(model, inputs, lambda given: model.scores(given, lengths=lengths))
        norms = torch.autograd.grad(loss(logits), x)[0].norm(dim=-1).double().cpu().numpy()
    return [row[:length] for row, length in zip(norms, lengths.tolist(), strict=True)]


def look_at_gates(subject: LabelledSubject) -> Part:
    """The gates over some examples, and how saturated they are, before and after training."""
    batch = subject.batch(subject.measured_rows())
    part = gates.chapter(
        {
            name: [
                read_gates(visit)
                for visit in gated(visit_layers(model, lambda model=model: model(batch.inputs, lengths=batch.lengths)))  # type: ignore[misc]
            ]
            for name, model in subject.models.items()
        }
    )
    options = {
        f"{at}: {subject.short_title(row)}": _gates_over(subject, row) for at, row in enumerate(subject.shown(), 1)
    }
    over = choice(options, title="What is kept, step by step")
    chapter = replace(part.chapter, figures=[over, *part.chapter.figures])
    return Part(chapter, part.numbers, part.lines)


@torch.no_grad()
def _gates_over(subject: LabelledSubject, row: int) -> Figure:
    """The gate that keeps, of every layer and direction, over one example."""
    batch = subject.batch([row])
    figures: dict[str, Figure] = {}
    for visit in gated(visit_layers(subject.model, lambda: subject.model(batch.inputs, lengths=batch.lengths))):
        cell = cell_named(visit.cell)
        values = gates_of(visit)[cell.keeping or ""][:, 0].mean(-1).double().numpy()  # (T,)
        name = f"{cell.gates[cell.keeping or '']}, {visit.name}"
        reading = "The mean over the units: the higher, the more of the memory is kept at that step."
        if subject.tokenizer is not None:
            centred = values - values.mean()
            reading += " Orange is above the example's own mean, blue below."
            figures[visit.name] = text_strip(subject.pieces(row), centred, title=name, reading=reading)
        else:
            figures[visit.name] = replace(_drawn(subject, row, values, name, reading), title=name)
    return choice(figures, title=subject.title(row))


def _pools_nothing(subject: LabelledSubject) -> str | None:
    return None if hasattr(subject.model.settings, "pooling") else "the model has no pool"


LOOKS: dict[str, Look] = {
    "labels": Look(look_at_answers),
    "decisions": Look(look_at_decisions),
    "inputs": Look(look_at_inputs),
    "pooling": Look(look_at_pooling, _pools_nothing),
    "gates": Look(look_at_gates, gates.has_no_gates),
    "clipping": Look(look_at_journal, has_no_journal),
}
