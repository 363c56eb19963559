"""The scores of a classifier, and the numbers of the model that are fitted on its validation set."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import torch

from elman.arrays import Floats
from elman.data.epoch_batches import Rows
from elman.data.example_batches import evaluation_batches
from elman.data.labelled_corpus import Examples, LabelledCorpus
from elman.data.labels import Label, LabelCodec
from elman.data.lanes import NOT_COUNTED
from elman.distributed import ALONE, Ranks
from elman.errors import UserError
from elman.metrics import classification as scores
from elman.metrics.calibration import fit_temperature, fit_thresholds, sigmoid, softmax
from elman.metrics.words import words
from elman.models.classifier import Classifier
from elman.tasks.classification.settings import ReadingOptions
from elman.tasks.exchange import Evaluation, Progress, Say, Sources, Trained, ValidationScores

Marks: TypeAlias = list[tuple[str, ...]]

BATCH = ReadingOptions().batch
LEAST_VARIANCE = 1e-6  # of standardised numbers
FEW = 12  # classes, whose confusion matrix people are shown
LONGEST = 12  # characters of a class's name there
NAMED = 5  # unknown labels that are named


@torch.no_grad()
def read_logits(
    model: Classifier,
    examples: Examples,
    batch: int = BATCH,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
) -> Floats:
    """The logits (N, K) of all examples, in their order; a row does not depend on its batch. Each rank reads a part."""
    device = next(model.parameters()).device

    def read() -> Iterator[tuple[Rows, Floats]]:
        done = 0
        for rows, part in evaluation_batches(examples, batch, ranks):
            moved = part.to(device)
            yield rows, model.scores(moved.inputs, lengths=moved.lengths)[0].double().cpu().numpy()
            done += len(rows)
            if progress:
                progress("reading", done / len(examples))

    found = np.zeros((len(examples), model.outputs))
    if len(examples):
        rows, logits = ranks.columns(read())
        found[rows] = logits
    return found


def calibrate(model: Classifier, logits: Floats, examples: Examples) -> None:
    """Set the model's temperature and thresholds by logits (N, K) of examples whose labels are known."""
    assert examples.targets is not None
    targets, kind = examples.targets, model.kind_of_labels
    if not np.isfinite(logits).all():
        return
    if kind == "number":
        temperature = max(float(((logits[:, 0] - targets) ** 2).mean()), LEAST_VARIANCE)
    elif kind == "several":
        temperature = fit_temperature(logits, targets.astype(np.float64), several=True)
        thresholds = fit_thresholds(sigmoid(logits / temperature), targets > 0.5)
        model.thresholds.copy_(torch.from_numpy(thresholds))
    else:
        known = targets != NOT_COUNTED
        temperature = fit_temperature(logits[known], np.eye(model.outputs)[targets[known]])
    model.temperature.fill_(temperature)


def losses(model: Classifier, logits: Floats, examples: Examples) -> Floats:
    """Nats (N,) of every example under the calibrated model; NaN of a class that the model does not know."""
    assert examples.targets is not None
    with torch.no_grad():
        return model.nats(torch.from_numpy(logits), torch.from_numpy(examples.targets)).cpu().numpy()


def say_labels(model: Classifier, codec: LabelCodec, logits: Floats) -> list[Label]:
    """The label of each row of logits (N, K)."""
    if codec.kind == "number":
        return [codec.number(float(z)) for z in logits[:, 0]]
    if codec.kind == "class":
        return [codec.names[k] for k in logits.argmax(1)]
    holds = probabilities(model, logits) >= model.thresholds.double().cpu().numpy()
    return [tuple(codec.names[k] for k in np.flatnonzero(row)) for row in holds]


def probabilities(model: Classifier, logits: Floats) -> Floats:
    """Calibrated probabilities (N, K) of classes, or of several labels."""
    z = logits / float(model.temperature)
    return softmax(z) if model.kind_of_labels == "class" else sigmoid(z)


def measure(model: Classifier, codec: LabelCodec, logits: Floats, examples: Examples) -> dict[str, float]:
    """The loss in nats an example, and the scores of the kind of labels, by name."""
    assert examples.labels is not None
    assert examples.targets is not None
    loss = float(np.nanmean(losses(model, logits, examples))) if (examples.targets != NOT_COUNTED).any() else math.nan
    return {"loss": loss, **SCORES[codec.kind](model, codec, logits, examples)}


def _of_numbers(model: Classifier, codec: LabelCodec, logits: Floats, examples: Examples) -> dict[str, float]:
    truth, said = (np.array(each, np.float64) for each in (examples.labels, say_labels(model, codec, logits)))
    return scores.number_scores(truth, said)


def _of_classes(model: Classifier, codec: LabelCodec, logits: Floats, examples: Examples) -> dict[str, float]:
    truth, said = cast(list[str], examples.labels), cast(list[str], say_labels(model, codec, logits))
    right = np.array([label == other for label, other in zip(truth, said, strict=True)])
    return {
        "accuracy": scores.accuracy(truth, said),
        "macro_f1": scores.macro_f1(truth, said),
        "calibration_error": scores.calibration_error(probabilities(model, logits).max(1), right),
    }


def _of_several(model: Classifier, codec: LabelCodec, logits: Floats, examples: Examples) -> dict[str, float]:
    truth, said = cast(Marks, examples.labels), cast(Marks, say_labels(model, codec, logits))
    names = [*codec.names, *unknown_labels(codec, truth)]
    marks = (np.array([[name in label for name in names] for label in each]) for each in (truth, said))
    p = probabilities(model, logits)
    right = (p >= 0.5) == (cast(Floats, examples.targets) > 0.5)
    error = scores.calibration_error(np.maximum(p, 1 - p).ravel(), right.ravel())
    return {**scores.several_scores(*marks), "calibration_error": error}


SCORES = {"number": _of_numbers, "class": _of_classes, "several": _of_several}
TITLES = {
    "accuracy": ("accuracy", "{:.2f} %"),
    "exact_match": ("exact match", "{:.2f} % of the examples"),
    "macro_f1": ("macro F1", "{:.2f} %"),
    "micro_f1": ("micro F1", "{:.2f} %"),
    "mae": ("mean error", "{:.4g}, absolute"),
    "rmse": ("mean square error", "{:.4g}, its root"),
    "correlation": ("correlation", "{:.4f}"),
    "calibration_error": ("calibration error", "{:.4f}"),
}


def evaluate_labels(run: Trained, data: Sources, options: ReadingOptions, say: Say, progress: Progress) -> Evaluation:
    """Score every example. Raises `UserError` where there are none, or the model knows none of their labels."""
    from elman.tasks.classification.corpus import examples as read_examples

    examples, model, codec = read_examples(run, data, say), run.model, run.labels
    assert examples.labels is not None
    assert examples.targets is not None
    if codec.kind == "class" and bool(np.all(examples.targets == NOT_COUNTED)):
        expected, got = f"such as {', '.join(codec.names[:NAMED])}", str(examples.labels[0])
        what = f"the model knows no label of {' and '.join(map(str, data))}"
        raise UserError(what, expected=expected, got=got, remedy="give data with those of the training")
    logits = read_logits(model, examples, options.batch, progress)
    report: dict[str, Any] = measure(model, codec, logits, examples)
    lines = score_lines(report)
    lines.append(("examples", f"{len(examples):,}"))
    report["examples"] = len(examples)
    if codec.kind != "number":
        unknown = unknown_labels(codec, examples.labels)
        report["unknown_labels"] = unknown
        if unknown:
            named = ", ".join(f"{name} ({times:,})" for name, times in [*unknown.items()][:NAMED])
            more = f", and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
            lines.append(("unknown labels", f"{named}{more}: the model never saw them, they count as missed"))
    if codec.kind == "class":
        truth, said = cast(list[str], examples.labels), cast(list[str], say_labels(model, codec, logits))
        names, matrix = scores.confusion(truth, said, codec.names)
        report["confusion"] = {"labels": list(names), "matrix": matrix.tolist()}
        if len(names) <= FEW:
            lines += confusion_lines(names, matrix.tolist())
    return Evaluation(report, lines)


def score_lines(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names and values of scores as `measure` has them, for people.

    >>> score_lines({"loss": 0.5, "accuracy": 95.0})
    [('loss', '0.5000 nats a label'), ('accuracy', '95.00 %')]
    """
    told = [(title, form.format(scores[name])) for name, (title, form) in TITLES.items() if name in scores]
    return [("loss", f"{words(scores['loss'])} nats a label"), *told]


def confusion_lines(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> list[tuple[str, str]]:
    """A confusion matrix for people: a row for each true class, a column for each class that the model says.

    >>> confusion_lines(["a", "long"], [[10, 0], [2, 3]])
    [('true \\\\ said', ' a  long'), ('  a', '10     0'), ('  long', ' 2     3')]
    """
    short = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
    rows = [short, *([f"{count:,}" for count in row] for row in matrix)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return list(zip(["true \\ said", *(f"  {name}" for name in short)], cells, strict=True))


def unknown_labels(codec: LabelCodec, labels: Sequence[Label]) -> dict[str, int]:
    """How often each label is there that training has not seen."""
    every = (name for label in labels for name in (label if isinstance(label, tuple) else (str(label),)))
    known = set(codec.names)
    return dict(Counter(name for name in every if name not in known).most_common())


def measurement(model: Classifier, corpus: LabelledCorpus) -> ValidationScores:
    """The nats of every validation example, the scores, and the terms of the score that models are ranked by."""
    examples, codec = corpus.valid, corpus.labels
    assert examples.labels is not None
    logits = read_logits(model, examples)
    nats = losses(model, logits, examples)
    known = np.isfinite(nats)
    scores = {name: value for name, value in measure(model, codec, logits, examples).items() if name != "loss"}
    pairs = list(zip(examples.labels, say_labels(model, codec, logits), strict=True))
    if codec.kind == "number":
        ranked, each = "mae", [abs(float(cast(float, said)) - float(cast(float, label))) for label, said in pairs]
    else:
        ranked = "accuracy" if codec.kind == "class" else "exact_match"
        each = [100.0 * (label == said) for label, said in pairs]
    terms = {ranked: np.column_stack((each, np.ones(len(examples))))}
    return ValidationScores(np.where(known, nats, 0), known.astype(np.float64), scores, terms)
