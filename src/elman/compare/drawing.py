"""The report of a comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman import __version__
from elman.compare.conclusion import clock_notes, sentences
from elman.compare.outcomes import Clock, Outcome, clocks, curve, decay, outcomes, over
from elman.compare.plan import Match, Plan
from elman.compare.store import Store
from elman.compare.tables import cells, clock_columns, result_columns
from elman.inspection.windows import window_marks
from elman.lens.decay import WORDS
from elman.report import Chapter, Figure, Line, Mark, Points, Report, Table, bar_chart, line_chart, point_chart, render
from elman.tasks import TASKS
from elman.tasks import configuration as config
from elman.tasks.task import Task

MATCHED: dict[Match, str] = {
    "parameters": "the same number of parameters (within 2 %), and the same budget for each training",
    "time": "the same wall time for each training; each model has the size its own recipe chooses for it",
    "tokens": "the same number of {target}s read in each training",
    "flops": "the same number of floating-point operations in each training",
}


def html(plan: Plan, store: Store) -> str:
    """One self-contained file."""
    ranked, measured = outcomes(plan, store.known), clocks(plan, store.timing)
    colours = {model: number for number, model in enumerate(plan.models, start=1)}
    task = TASKS[plan.task]
    tokenizer = next(iter(store.known["settings"].values()))["data"].get("tokenizer")
    tokens = " with the same tokenizer" if tokenizer else ""
    facts = [
        ("data", " and ".join(plan.data)),
        *((name.replace("_", " "), f"{count:,}") for name, count in store.known["data"].items()),
        *([("tokenizer", tokenizer)] if tokenizer else []),
        ("budget", f"{plan.budget} a training"),
        ("seeds", f"{plan.seeds} a model, from {plan.seed}"),
        ("learning rates", f"{plan.trials} trials a model" if plan.trials else "each recipe's own"),
    ]
    quality = _quality(task, ranked, colours, sentences(plan, ranked, measured))
    sections = [quality, _curves(plan, store, colours), _clock(task, measured)]
    if any(one.lags for one in ranked):
        sections.append(_memory(plan, store, ranked, colours))
    if plan.trials:
        sections.append(_search(task, store, colours))
    report = Report(
        " · ".join(plan.models),
        f"A comparison on the same data{tokens}. Matched: {MATCHED[plan.match].format(target=task.target)}.",
        facts,
        sections,
        f"Made by elman {__version__}. Intervals are of 95 % over "
        f"{over(ranked[0].quality, plan.seeds, task)}: what else may change, they do not say.",
    )
    return render(report)


def _quality(task: Task, ranked: list[Outcome], colours: dict[str, int], conclusion: list[str]) -> Chapter:
    ranks = np.arange(1, len(ranked) + 1)
    lines = [
        Points(
            one.model,
            np.array([rank] * 3),
            np.array([one.quality.low, one.quality.middle, one.quality.high]),
            colours[one.model],
            [f"{one.model}: {end}" for end in ("low end", "loss", "high end")],
            path=True,
            labels=[(1, f"{one.model} {one.quality.middle:.3f}")],
        )
        for rank, one in zip(ranks, ranked, strict=True)
    ]
    columns = result_columns(ranked, task)
    table = Table(list(columns), cells(columns, ranked))
    figure = point_chart(
        lines,
        title=f"Loss on the validation {task.sample[1]}",
        x="rank",
        y=task.loss_unit,
        x_span=(0.5, len(ranked) + 1.0),
        reading=f"Lower is better. The three points of a model are its loss and the ends of its 95 % interval over "
        f"{over(ranked[0].quality, len(ranked[0].losses), task)}; "
        "the sentences above compare models directly, which is sharper than to see whether intervals overlap.",
        table=table,
    )
    parameters = bar_chart(
        [one.model for one in ranked],
        np.array([float(one.parameters) for one in ranked]),
        title="Parameters",
        x="of the whole model",
        reading="How large the models are.",
    )
    text = f"How well each model, with its best weights, foretells validation {task.sample[1]} that it has not seen."
    return Chapter("Who predicts best", text, [figure, parameters], conclusion)


def _curves(plan: Plan, store: Store, colours: dict[str, int]) -> Chapter:
    task = TASKS[plan.task]
    read = f"{task.target}s read"
    by_targets, by_seconds, validations = [], [], []
    for training in plan.trainings():
        result, timing = (part["runs"].get(training.name) for part in (store.known, store.timing))
        if not result or not timing:
            continue
        targets, losses = curve(result["training_curve"])
        name = training.model if plan.seeds == 1 else f"{training.model}, seed {training.seed}"
        seconds = targets / timing["training_tokens_per_second"]
        by_targets.append(Line(name, targets, losses, colour=colours[training.model]))
        by_seconds.append(Line(name, seconds, losses, colour=colours[training.model]))
        validated = curve([point[1:] for point in result["curve"]])
        validations.append(Points(name, validated[0], validated[1], colours[training.model], path=True))
    figures: list[Figure] = []
    for lines, x, text in (
        (by_targets, read, "what a model makes of what it has read"),
        (by_seconds, "seconds of training", "what it makes of its time, at its mean speed, validations left out"),
    ):
        figures.append(
            line_chart(
                lines,
                title=f"Loss against {x}",
                x=x,
                y=f"training loss, {task.loss_unit}",
                log_y=False,
                reading=f"Each line is one training: {text}. The learning rate falls to zero at the end of the budget, "
                "so only the last points are finished models.",
            )
        )
    figures.append(
        point_chart(
            validations,
            title=f"Validation loss against {read}",
            x=read,
            y=task.loss_unit,
            reading="Each point is a validation. Where the curve of a model that read less lies below, it makes more "
            f"of a {task.target}, though part of that is its learning rate, which has already fallen.",
        )
    )
    text = "The loss on what is read for the first time or again, dropout on; and that on the "
    text += f"validation {task.sample[1]}."
    return Chapter("How they learn", text, figures)


def _clock(task: Task, measured: list[Clock]) -> Chapter:
    names = [one.model for one in measured]
    columns = clock_columns(measured, task)
    table = Table(list(columns), cells(columns, measured))
    speed = f"{task.target}s a second"
    charts: list[tuple[str, str, list[float], str]] = [
        ("Training speed", speed, [one.training for one in measured], f"How many {task.target}s are learnt from."),
        ("Seconds", "seconds a training", [one.seconds for one in measured], "The wall time of a training."),
    ]
    if decoding := [one.decoding for one in measured if one.decoding is not None]:
        charts.insert(
            1, ("Decoding speed", speed, decoding, f"How many {task.target}s are written, one after the other.")
        )
    if all(one.megabytes is not None for one in measured):
        values = [float(one.megabytes or 0) for one in measured]
        charts.append(("Peak memory", "MB", values, "The most that a training took beyond what was there before it."))
    if all(one.others_share is not None for one in measured):
        values = [100 * (one.others_share or 0) for one in measured]
        reading = "What other processes took of the processor while a model trained: it had no use of that."
        charts.append(("Other work on the machine", "% of the processor", values, reading))
    figures = []
    for title, x, numbers, reading in charts:
        made = bar_chart(names, np.array(numbers), title=title, x=x, reading=reading)
        figures.append(Figure(made.title, made.drawing, made.reading, table))
    text = "By the clock, on the machine that trained them."
    return Chapter("Speed and memory", text, figures, clock_notes(measured))


def _memory(plan: Plan, store: Store, ranked: list[Outcome], colours: dict[str, int]) -> Chapter:
    lines, words, about = [], [], ""
    marks: list[Mark] = []
    task = TASKS[plan.task]
    for one in ranked:
        memory: dict[str, Any] = store.known["runs"][f"{one.model}-{plan.seed}"]["memory"]
        gradient = np.array([np.nan if value is None else value for value in memory["gradient"]])
        lines.append(Line(one.model, np.arange(len(gradient)), gradient / gradient[0], colour=colours[one.model]))
        words.append(f"{one.model}: {decay(memory).words}")
        settings = config.build(store.known["settings"][one.model]).model
        steps, layers = task.attention_window(settings) or (None, 1)
        bounds, caption = window_marks(steps, layers, one.lags or 0, f"The {one.model}'s attention")
        marks, about = [*marks, *bounds], about + caption
    figure = line_chart(
        lines,
        title="How far a loss reaches back",
        x=f"lag, {task.target}s back",
        y="gradient by the input, 1 at lag 0",
        log_y=True,
        wide=True,
        marks=marks,
        reading=f"The median gradient of the loss at one {task.target} by the inputs before it: the lag at which a "
        f"hundredth is left is the memory horizon.{about}",
    )
    text = f"How far back the trained models' gradients reach (first seed). {WORDS}"
    return Chapter("Memory", text, [figure], words)


def _search(task: Task, store: Store, colours: dict[str, int]) -> Chapter:
    groups = [
        Points(
            model,
            np.log2([trial["factor"] for trial in trials if trial["loss"] is not None]),
            np.array([trial["loss"] for trial in trials if trial["loss"] is not None]),
            colours[model],
        )
        for model, trials in store.known["trials"].items()
    ]
    figure = point_chart(
        groups,
        title="Learning rates that were tried",
        x="factor on the recipe's rate, powers of two",
        y=task.loss_unit,
        reading="Each point is a training of a quarter of the budget; each model's lowest point decided its rate.",
    )
    return Chapter("The search", "As many trials for each model, from a quarter to four times its recipe.", [figure])
