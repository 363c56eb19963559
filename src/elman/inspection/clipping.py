"""What clipping did over a run's training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.inspection.look import Part
from elman.inspection.subject import Subject
from elman.lens.clipping import ClippingHistory, clipping_history, cosine_after_clipping
from elman.lens.truncation import truncation
from elman.report import Chapter, Figure, Line, line_chart
from elman.train import journal

ROWS, STEPS = 8, 128
BINS = 240

TEXT = (
    "The gradient's norm at every step of the training, before and after it was clipped. Clipping by norm shortens a "
    "gradient and keeps its direction; clipping every component by value turns it."
)


def look_at_journal(folder: Path) -> Part:
    """A run's journal alone."""
    history = clipping_history(journal.read(folder / "metrics.jsonl"))
    figures = [_history_figure(history)] if len(history.steps) else []
    lines = [_clipped(history)]
    return Part(Chapter("Clipping", TEXT, figures, lines), _numbers(history), lines)


def look(subject: Subject) -> Part:
    """The run's journal; and a gradient of today, clipped by value at many thresholds."""
    history = clipping_history(journal.read(subject.path / "metrics.jsonl"))
    windows = subject.windows(ROWS, STEPS + 1)
    inputs, targets = windows[:, :-1], windows[:, 1:]
    whole = truncation(subject.model, inputs, targets, resets=subject.resets(inputs), windows=[inputs.shape[1]])
    gradient = whole.gradient
    largest = float(np.abs(gradient).max())
    thresholds = largest * np.geomspace(1e-3, 1, 25) if largest > 0 else np.ones(1)
    cosines = np.array([cosine_after_clipping(gradient, threshold) for threshold in thresholds])
    figures = [_history_figure(history)] if len(history.steps) else []
    figures.append(_cosine_figure(thresholds, cosines))
    lines = _words(subject, history, gradient)
    numbers = _numbers(history) | {"value_thresholds": thresholds, "value_cosines": cosines}
    return Part(Chapter("Clipping", TEXT, figures, lines), numbers, lines)


def _numbers(history: ClippingHistory) -> dict[str, Any]:
    return {
        "steps": history.steps,
        "before": history.before,
        "after": history.after,
        "fraction_clipped": history.fraction_clipped,
        "skipped": history.skipped,
    }


def _clipped(history: ClippingHistory) -> str:
    skipped = f", {history.skipped} skipped as not finite" if history.skipped else ""
    return f"clipped in {history.fraction_clipped:.1%} of {len(history.steps):,} steps{skipped}"


def _words(subject: Subject, history: ClippingHistory, gradient: npt.NDArray[np.float64]) -> list[str]:
    lines = [_clipped(history)]
    if subject.train is None:
        return lines
    train = subject.train
    if train.clip == "value":
        cosine = cosine_after_clipping(gradient, train.clip_threshold)
        lines.append(
            f"by value at {train.clip_threshold:g}: cosine before and after {cosine:.4f}, on a gradient of today"
        )
    elif train.clip != "none":
        lines.append("by norm, which keeps the direction: cosine before and after 1")
    return lines


def _history_figure(history: ClippingHistory) -> Figure:
    finite = np.isfinite(history.before) & np.isfinite(history.after)
    bins = np.array_split(np.flatnonzero(finite), min(BINS, max(1, int(finite.sum()))))
    bins = [part for part in bins if len(part)]
    steps = np.array([history.steps[part].mean() for part in bins])

    def line(name: str, values: npt.NDArray[np.float64], colour: int) -> Line:
        quantiles = [np.array([np.quantile(values[part], q) for part in bins]) for q in (0.5, 0.0, 1.0)]
        return Line(name, steps, quantiles[0], quantiles[1], quantiles[2], colour=colour)

    return line_chart(
        [line("before clipping", history.before, 2), line("after", history.after, 1)],
        title="Norm of the gradient over the training",
        x="step",
        y="norm",
        log_y=True,
        wide=True,
        reading="The line is the median and the band the range of a few steps in a row: where the two part, "
        "clipping was at work.",
    )


def _cosine_figure(thresholds: npt.NDArray[np.float64], cosines: npt.NDArray[np.float64]) -> Figure:
    return line_chart(
        [Line("clipped by value", thresholds, cosines, colour=4)],
        title="If it were clipped by value",
        x="threshold of a component",
        y="cosine, before and after",
        log_x=True,
        reading="How far clipping every component of a gradient of today at that threshold would turn it: 1 is not at "
        "all.",
    )
