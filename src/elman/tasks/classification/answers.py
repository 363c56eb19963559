"""A classifier's labels beside the true ones: what it confuses, and whether its probabilities mean what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from elman.arrays import Floats
from elman.inspection.confusion import MOST_CLASSES, confusion_map, most_confused
from elman.inspection.look import Part
from elman.metrics import classification as scores
from elman.report import Chapter, Figure, Line, Points, bar_chart, line_chart, passages, point_chart
from elman.tasks.classification.evaluation import measure, probabilities, score_lines
from elman.tasks.classification.subject import LabelledSubject
from elman.wording import percent

MISTAKES = 8  # that are shown
LETTERS = 300  # of a text that is shown


def look_at_answers(subject: LabelledSubject) -> Part:
    """The labels of all examples beside the true ones."""
    metrics = measure(subject.model, subject.labels, subject.logits, subject.examples)
    figures, more, lines = KINDS[subject.labels.kind](subject)
    named = ", ".join(f"{title} {value}" for title, value in score_lines(metrics))
    lines = [f"{len(subject.examples):,} examples: {named}", *lines]
    text = "The labels that the model gives to examples whose labels are known."
    return Part(Chapter("Labels", text, figures, lines), metrics | more, lines[1:], f"{lines[0]}.")


Found = tuple[list[Figure], dict[str, Any], list[str]]


def _of_classes(subject: LabelledSubject) -> Found:
    truth, said = cast(list[str], subject.examples.labels), cast(list[str], subject.said)
    names, matrix = scores.confusion(truth, said, subject.labels.names)
    found = most_confused(names, matrix)
    lines = [found] if found else []
    p = probabilities(subject.model, subject.logits)
    right = np.array([label == other for label, other in zip(truth, said, strict=True)])
    figures = [confusion_map(names, matrix), _reliability(p.max(1), right)]
    mistakes = np.flatnonzero(~right)
    mistakes = mistakes[np.argsort(-p[mistakes].max(1), kind="stable")][:MISTAKES]
    if len(mistakes) and subject.examples.texts is not None:
        texts = subject.examples.texts
        groups = [
            [("text", texts[row][:LETTERS]), ("label", truth[row]), (f"said, {percent(p[row].max())} sure", said[row])]
            for row in mistakes.tolist()
        ]
        reading = "The wrong labels of which the model is surest: some may be errors of the data."
        figures.append(passages(groups, title="The surest mistakes", reading=reading))
    return figures, {"confusion": {"labels": names, "matrix": matrix}}, lines


def _reliability(confidence: Floats, right: np.ndarray[Any, np.dtype[np.bool_]]) -> Figure:
    bins = np.clip(np.ceil(confidence * scores.BINS).astype(int) - 1, 0, scores.BINS - 1)
    used = np.unique(bins)
    said = np.array([confidence[bins == each].mean() for each in used])
    held = np.array([right[bins == each].mean() for each in used])
    ends = np.array([0.0, 1.0])
    return line_chart(
        [Line("the model", said, held, colour=1), Line("calibrated", ends, ends, colour=2, dashed=True)],
        title="Reliability of the probabilities",
        x="probability of the label that is said",
        y="share that is right",
        reading="Above the dashed line the model is less sure than it may be, below it surer. The expected calibration "
        "error is the mean distance, weighted by how many examples are there.",
    )


def _of_numbers(subject: LabelledSubject) -> Found:
    truth, said = (np.array(each, np.float64) for each in (subject.examples.labels, subject.said))
    figure = point_chart(
        [Points("an example", truth, said, colour=1)],
        title="Numbers said beside the true ones",
        x="true",
        y="said",
        reading="Each point is an example: on the diagonal it is right.",
    )
    return [figure], {}, []


def _of_several(subject: LabelledSubject) -> Found:
    truth, said = (cast(list[tuple[str, ...]], each) for each in (subject.examples.labels, subject.said))
    names = subject.labels.names
    right = Counter(name for a, b in zip(truth, said, strict=True) for name in a if name in b)
    total = Counter(name for each in (*truth, *said) for name in each)
    shown = [name for name, _ in Counter({name: total[name] for name in names}).most_common(MOST_CLASSES)]
    f1 = np.array([2 * right[name] / max(1, total[name]) for name in shown])
    thresholds = dict(zip(names, subject.model.thresholds.tolist(), strict=True))
    figure = bar_chart(
        shown,
        100 * f1,
        title="F1 of each label",
        x="%",
        limit=100.0,
        notes=[f"from {thresholds[name]:.2f} on" for name in shown],
        reading="How well each label is found, and the probability from which on it holds; that was fitted.",
    )
    return [figure], {"thresholds": thresholds, "f1": dict(zip(shown, f1, strict=True))}, []


KINDS: dict[str, Callable[[LabelledSubject], Found]] = {
    "class": _of_classes,
    "number": _of_numbers,
    "several": _of_several,
}
