"""The learning curves of a comparison, as means over the seeds of each model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from elman.arrays import Floats
from elman.compare.intervals import over_curves
from elman.compare.outcomes import curve
from elman.compare.plan import Plan
from elman.compare.store import Store
from elman.report import Chapter, Line, line_chart
from elman.tasks import TASKS

LINK = "models"  # a model that is switched off in one chart is off in all
SKIPPED = 0.2  # of a training, before its losses count for the axis
Curves: TypeAlias = dict[str, list[Floats]]  # (2, N) each, of every seed of a model


def learning_curves(plan: Plan, store: Store, colours: dict[str, int]) -> Chapter:
    """Losses against what was read, against seconds, and of the validations; by each model's number of a colour."""
    task = TASKS[plan.task]
    read, seconds, validated = f"{task.target}s read", "seconds of training", "validation"
    lines = {
        kind: [_mean_line(model, every, colours[model], bars=kind == validated) for model, every in models.items()]
        for kind, models in zip((read, seconds, validated), _measured(plan, store), strict=True)
    }
    means = "A line is the mean over the seeds, and what is around it its 95 % interval. " if plan.seeds > 1 else ""
    by = {read: read, seconds: "seconds, at the model's mean speed and without validations"}
    figures = [
        line_chart(
            lines[x],
            title=f"Loss against {x}",
            x=x,
            y=f"training loss, {task.loss_unit}",
            skip_first=SKIPPED,
            link=LINK,
            reading=f"{means}The loss by {words}, on an axis for all but the first steps. The learning rate falls to "
            "zero at the end of the budget, so only the last points are finished models.",
        )
        for x, words in by.items()
        if _rise_or_fall(lines[x])
    ]
    text = "The training loss, with dropout where a model has any"
    if not figures:
        text = "The trainings were too short for curves of the training loss"
    if not _rise_or_fall(lines[validated]):
        once = "No model was validated more than once, so that there is no curve of the validations."
        return Chapter("How they learn", f"{text}. {once}", figures)
    figures.append(
        line_chart(
            lines[validated],
            title=f"Validation loss against {read}",
            x=read,
            y=task.loss_unit,
            skip_first=SKIPPED,
            link=LINK,
            reading=f"{means}Each point is a validation. A model that read less and has the lower curve makes more "
            f"of a {task.target}, though its learning rate, which has already fallen further, has a part in that.",
        )
    )
    return Chapter("How they learn", f"{text}, and the loss on the validation {task.sample[1]}.", figures)


def _measured(plan: Plan, store: Store) -> tuple[Curves, Curves, Curves]:
    """The losses of each training against what was read and against seconds, and those of its validations."""
    found: tuple[Curves, Curves, Curves] = {}, {}, {}
    for run, (model, _) in plan.trainings().items():
        result, timing = (part["runs"].get(run) for part in (store.known, store.timing))
        if not result or not timing:
            continue
        targets, losses = curve(result["training_curve"])
        times = targets / timing["training_tokens_per_second"]
        own = np.stack([targets, losses]), np.stack([times, losses]), curve([point[1:] for point in result["curve"]])
        for curves, values in zip(found, own, strict=True):
            if values.size:
                curves.setdefault(model, []).append(values)
    return found


def _rise_or_fall(lines: Iterable[Line]) -> bool:
    """Whether any of the curves has more than one point."""
    return any(len(line.x) > 1 for line in lines)


def _mean_line(model: str, curves: list[Floats], colour: int, *, bars: bool) -> Line:
    """The mean over the seeds of a model, with its interval where there are several."""
    x, mean, low, high = over_curves(curves)
    if len(curves) == 1:
        return Line(model, x, mean, colour=colour, bars=bars)
    return Line(model, x, mean, low, high, colour=colour, bars=bars)
