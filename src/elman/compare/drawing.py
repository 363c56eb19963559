"""The report of a comparison."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from elman import __version__
from elman.compare.conclusion import clock_notes, sentences
from elman.compare.curves import LINK, learning_curves
from elman.compare.outcomes import (
    Clock,
    Outcome,
    cells,
    clock_ranges,
    clock_rows,
    clocks,
    curve,
    outcomes,
    over,
    result_rows,
)
from elman.compare.plan import Match, Plan
from elman.compare.store import Store
from elman.inspection.windows import window_marks
from elman.lens import fit_decay
from elman.lens.decay import WORDS
from elman.report import Chapter, Line, Mark, Points, Report, Table, bar_chart, line_chart, point_chart, render
from elman.tasks import TASKS
from elman.tasks import configuration as config
from elman.tasks.task import Task

MATCHED: dict[Match, str] = {
    "parameters": "the same number of parameters (within 2 %), and the same budget for each training",
    "time": "the same wall time for each training; each model has the size its own recipe chooses for it",
    "tokens": "the same number of {target}s read in each training",
    "flops": "the same number of floating-point operations in each training",
}

# Of `Clock`: a field, the scale of its chart, the chart's title and axis, and how to read the chart.
CHARTS = (
    ("training", 1, "Training speed", "{target}s a second", "How many {target}s are learnt from."),
    ("decoding", 1, "Decoding speed", "{target}s a second", "How many {target}s are written, one after the other."),
    ("seconds", 1, "Seconds", "seconds a training", "The wall time of a training."),
    ("megabytes", 1, "Peak RAM", "MB", "The most RAM that a training took beyond the RAM in use before it."),
    ("others_share", 100, "Other work", "% of the processor", "What other processes took while a model trained."),
)
STORED = {  # fields of which each seed has its own
    "training": "training_tokens_per_second",
    "decoding": "decoding_tokens_per_second",
    "seconds": "seconds",
    "others_share": "others_share",
}
BESIDE = 0.12  # of the room of a model, from a mean to the seeds beside it


def html(plan: Plan, store: Store) -> str:
    """The report as one self-contained file."""
    return render(report(plan, store))


def report(plan: Plan, store: Store) -> Report:
    """All chapters of a comparison."""
    ranked, measured = outcomes(plan, store.known), clocks(plan, store.timing)
    colours = {model: number for number, model in enumerate(plan.models, start=1)}
    task = TASKS[plan.task]
    tokenizer = next(iter(store.known["settings"].values()))["data"].get("tokenizer")
    facts = [
        ("data", " and ".join(plan.data)),
        *((name.replace("_", " "), f"{count:,}") for name, count in store.known["data"].items()),
        *([("tokenizer", tokenizer)] if tokenizer else []),
        ("budget", f"{plan.budget} a training"),
        ("seeds", f"{plan.seeds} a model, from {plan.seed}"),
        ("learning rates", f"{plan.trials} trials a model" if plan.trials else "each recipe's own"),
    ]
    quality = _quality(task, ranked, colours, sentences(plan, ranked, measured))
    sections = [quality, learning_curves(plan, store, colours), _clock(plan, store, ranked, measured)]
    if reaching := [one for one in ranked if one.lags]:
        sections.append(_reach(plan, store, reaching, colours))
    if plan.trials:
        sections.append(_search(task, store, colours))
    return Report(
        " · ".join(plan.models),
        f"A comparison on the same data{' with the same tokenizer' if tokenizer else ''}. "
        f"Matched: {MATCHED[plan.match].format(target=task.target)}.",
        facts,
        sections,
        f"Made by elman {__version__}. Intervals are of 95 % over "
        f"{over(ranked[0].quality, plan.seeds, task)}: they leave out whatever else may change.",
    )


def _quality(task: Task, ranked: list[Outcome], colours: dict[str, int], conclusion: list[str]) -> Chapter:
    ranks = np.arange(len(ranked))
    means = [
        Points(
            one.model,
            np.array([rank]),
            np.array([one.quality.middle]),
            colours[one.model],
            [f"{one.model}: the mean and its 95 % interval"],
            low=np.array([one.quality.low]),
            high=np.array([one.quality.high]),
            labels=[(0, f"{one.quality.middle:.3f}")],
        )
        for rank, one in zip(ranks.tolist(), ranked, strict=True)
    ]
    seeds = [(rank - BESIDE, loss, one.model) for rank, one in zip(ranks, ranked, strict=True) for loss in one.losses]
    if len(seeds) > len(ranked):
        x, y, models = zip(*seeds, strict=True)
        means.append(Points("a seed", np.array(x), np.array(y), 0, [f"{model}: a seed" for model in models]))
    figure = point_chart(
        means,
        title=f"Loss on the validation {task.sample[1]}",
        x="model, the least loss first",
        names=[one.model for one in ranked],
        y=task.loss_unit,
        x_span=(-0.5, len(ranked) - 0.5),
        reading=f"Lower is better. A model's point is its loss, its line the 95 % interval over "
        f"{over(ranked[0].quality, len(ranked[0].losses), task)}; "
        "the sentences above compare models directly, which is sharper than looking for an overlap of intervals.",
        table=Table(*cells(result_rows(ranked, task))),
        link=LINK,
    )
    text = f"How well each model, with its best weights, predicts validation {task.sample[1]} that it has not seen."
    return Chapter("Who predicts best", text, [figure], conclusion)


def _clock(plan: Plan, store: Store, ranked: list[Outcome], measured: list[Clock]) -> Chapter:
    task = TASKS[plan.task]
    names, table = [one.model for one in measured], Table(*cells(clock_rows(measured, task)))
    figures = [
        bar_chart(
            [one.model for one in ranked],
            np.array([float(one.parameters) for one in ranked]),
            title="Parameters",
            x="of the whole model",
            reading="How large the models are.",
            link=LINK,
        )
    ]
    for name, scale, title, x, reading in CHARTS:
        values = [getattr(one, name) for one in measured]
        if None not in values:
            x, reading = (text.format(target=task.target) for text in (x, reading))
            ends = clock_ranges(plan, store.timing, STORED[name]) if name in STORED else None
            reading += " The line goes from the least seed to the greatest." if ends else ""
            low, high = (scale * end for end in ends) if ends else (None, None)
            heights = scale * np.array(values, float)
            chart = bar_chart(names, heights, low=low, high=high, title=title, x=x, reading=reading, link=LINK)
            figures.append(replace(chart, table=table))
    text = "By the clock, on the machine that trained them."
    return Chapter("Size, speed and RAM", text, figures, clock_notes(measured))


def _reach(plan: Plan, store: Store, ranked: list[Outcome], colours: dict[str, int]) -> Chapter:
    task = TASKS[plan.task]
    lines, words, about = [], [], ""
    marks: list[Mark] = []
    for one in ranked:
        gradient = np.array(store.known["runs"][f"{one.model}-{plan.seed}"]["memory"]["gradient"], np.float64)
        lags = np.arange(len(gradient))
        lines.append(Line(one.model, lags, gradient / gradient[0], colour=colours[one.model]))
        words.append(f"{one.model}: {fit_decay(lags, gradient).words}")
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
        link=LINK,
        reading=f"The median gradient of the loss at one {task.target} by the inputs before it: the lag at which a "
        f"hundredth is left is the memory horizon.{about}",
    )
    text = f"How far back the trained models' gradients reach (first seed). {WORDS}"
    return Chapter("Gradient reach", text, [figure], words)


def _search(task: Task, store: Store, colours: dict[str, int]) -> Chapter:
    groups = []
    for model, trials in store.known["trials"].items():
        factors, losses = curve([(trial["factor"], trial["loss"]) for trial in trials])
        groups.append(Points(model, np.log2(factors), losses, colours[model]))
    figure = point_chart(
        groups,
        title="Learning rates that were tried",
        x="factor on the recipe's rate, powers of two",
        y=task.loss_unit,
        reading="Each point is a training of a quarter of the budget; each model's lowest point decided its rate.",
        link=LINK,
    )
    return Chapter(
        "The search", "Every model has as many trials, from a quarter to four times its recipe's rate.", [figure]
    )
