"""How clipping changed the gradient over a run's training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from elman.inspection.look import Observed, Part
from elman.inspection.subject import Subject
from elman.lens.clipping import ClippingHistory, clipping_history, cosine_after_clipping
from elman.report import Chapter, Figure, Line, line_chart
from elman.train import journal
from elman.wording import percent

BINS = 240

TEXT = (
    "The gradient's norm at every step of the training, before and after it was clipped. Clipping by norm shortens a "
    "gradient and keeps its direction; clipping every component by value turns it."
)


def has_no_journal(observed: Observed) -> str | None:
    """A `why_not` of looks at a training."""
    return None if (observed.path / "metrics.jsonl").is_file() else "the run has no metrics.jsonl"


def look_at_journal(observed: Observed) -> Part:
    """The run's journal alone."""
    history = clipping_history(journal.read(observed.path / "metrics.jsonl"))
    figures = [_history_figure(history)] if len(history.steps) else []
    skipped = f", {history.skipped} skipped as not finite" if history.skipped else ""
    lines = [f"clipped in {percent(history.fraction_clipped, 1)} of {len(history.steps):,} steps{skipped}"]
    numbers = vars(history) | {"fraction_clipped": history.fraction_clipped}
    return Part(Chapter("Clipping", TEXT, figures, lines), numbers, lines)


def look(subject: Subject) -> Part:
    """The run's journal, and a gradient of the trained model that is clipped by value at many thresholds."""
    part, train = look_at_journal(subject), subject.train
    gradient = subject.whole.gradient
    largest = float(np.abs(gradient).max())
    thresholds = largest * np.geomspace(1e-3, 1, 25) if largest > 0 else np.ones(1)
    cosines = np.array([cosine_after_clipping(gradient, threshold) for threshold in thresholds])
    figure = line_chart(
        [Line("clipped by value", thresholds, cosines, colour=4)],
        title="If it were clipped by value",
        x="threshold of a component",
        y="cosine, before and after",
        log_x=True,
        reading="How far clipping every component at that threshold would turn a gradient of the trained model: at 1, "
        "it keeps its direction.",
    )
    lines = list(part.lines)
    if train is not None and train.clip == "value":
        cosine = cosine_after_clipping(gradient, train.clip_threshold)
        words = f"clipping by value at {train.clip_threshold:g} turns a gradient of the trained model to a cosine of"
        lines.append(f"{words} {cosine:.4f} with itself before")
    elif train is not None and train.clip != "none":
        lines.append("clipping by norm keeps the gradient's direction: the cosine before and after is 1")
    chapter = replace(part.chapter, figures=[*part.chapter.figures, figure], findings=lines)
    return Part(chapter, part.numbers | {"value_thresholds": thresholds, "value_cosines": cosines}, lines)


def _history_figure(history: ClippingHistory) -> Figure:
    finite = np.flatnonzero(np.isfinite(history.before) & np.isfinite(history.after))
    bins = np.array_split(finite, min(BINS, len(finite))) if len(finite) else []
    steps = np.array([history.steps[part].mean() for part in bins])

    def line(name: str, values: npt.NDArray[np.float64], colour: int) -> Line:
        middle, low, high = (np.array([np.quantile(values[part], q) for part in bins]) for q in (0.5, 0.0, 1.0))
        return Line(name, steps, middle, low, high, colour=colour)

    several = len(finite) > len(bins)
    each = "Each line is the median of a few steps in a row and its band their range. " if several else ""
    return line_chart(
        [line("before clipping", history.before, 2), line("after", history.after, 1)],
        title="Norm of the gradient over the training",
        x="step",
        y="norm",
        log_y=True,
        wide=True,
        reading=f"{each}Where the two lines part, clipping was at work.",
    )
