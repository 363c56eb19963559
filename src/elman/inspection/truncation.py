"""What truncated backpropagation through time leaves of the gradient, and what it spares."""

from __future__ import annotations

from elman.inspection.look import Part
from elman.inspection.subject import Subject
from elman.lens.truncation import Truncation, doubling_windows, truncation
from elman.report import Chapter, Figure, Line, Mark, line_chart

ROWS, STEPS = 8, 256
SHORTEST = 2  # of the windows that are tried
WANTED = (0.9, 0.99, 0.999)  # cosines

TEXT = (
    "Training cuts the gradient every so many steps. Here the whole gradient of a stretch of text is computed, and "
    "what each window leaves of it is compared with it. "
)


def look(subject: Subject) -> Part:
    """The trained model on windows of the text."""
    windows = subject.windows(ROWS, STEPS + 1)
    steps = windows.shape[1] - 1
    train = subject.train
    auto = train is not None and train.k2 == "auto"  # then it changed as the training went on
    used = None if train is None or auto else train.backward_steps
    tried = {k for k in doubling_windows(steps) if k >= SHORTEST} | ({used} if used and used < steps else set())
    inputs, targets = windows[:, :-1], windows[:, 1:]
    resets = subject.resets(inputs)
    found = truncation(subject.model, inputs, targets, resets=resets, windows=sorted(tried))
    # Of a gradient that is zero, no cosine is any.
    wanted = {cosine: found.smallest_window(cosine) for cosine in WANTED if found.cosine[-1] >= cosine}
    lines = [
        f"cut every {k} steps, a gradient has a cosine of at least {cosine} with the whole one"
        for cosine, k in wanted.items()
    ] or ["the whole gradient is zero: there is nothing to compare with"]
    if wanted and train is not None and used and used in found.windows:
        model, k1 = subject.model, train.k1
        own = truncation(model, inputs, targets, resets=resets, windows=[used], stride=k1, warm_up=False)
        lines.append(
            f"the run was trained with the gradient of every {k1} steps through the last {used} steps, whose cosine is "
            f"{own.cosine[0]:.3f} at its end"
        )
    marks = [Mark(float(used), f"trained with {used}")] if used and used <= steps else []
    figures = [*_bias_figures(found, marks), *_cost_figures(found, marks)]
    about = f"{windows.shape[0]} rows of {steps} steps, from a fresh memory."
    numbers = {
        "windows": found.windows,
        "cosine": found.cosine,
        "bias": found.bias,
        "seconds": found.seconds,
        "megabytes": found.megabytes,
        "smallest_windows": {str(cosine): k for cosine, k in wanted.items()},
    }
    return Part(Chapter("Truncation", TEXT + about, figures, lines), numbers, lines)


def _bias_figures(found: Truncation, marks: list[Mark]) -> list[Figure]:
    return [
        line_chart(
            [Line("cosine", found.windows, found.cosine)],
            title="Cosine with the whole gradient",
            x="window, steps",
            y="cosine",
            log_x=True,
            marks=marks,
            reading="How well the truncated gradient points where the whole one does: 1 is the same direction, and "
            "where the line is flat a longer window gains nothing.",
        ),
        line_chart(
            [Line("relative bias", found.windows, found.bias, colour=2)],
            title="Relative bias",
            x="window, steps",
            y="‖g(k) − g‖ / ‖g‖",
            log_x=True,
            zero=True,
            marks=marks,
            reading="The size of what is missing or wrong in the truncated gradient, in terms of the whole one: 0 is "
            "nothing.",
        ),
    ]


def _cost_figures(found: Truncation, marks: list[Mark]) -> list[Figure]:
    return [
        line_chart(
            [Line("kept for the backward pass", found.windows, found.megabytes, colour=3)],
            title="Cost in memory",
            x="window, steps",
            y="MB",
            log_x=True,
            zero=True,
            marks=marks,
            reading="What has to be kept for the backward pass at its largest, the parameters aside.",
        ),
        line_chart(
            [Line("the gradient of all steps", found.windows, found.seconds, colour=4)],
            title="Cost in time",
            x="window, steps",
            y="seconds",
            log_x=True,
            zero=True,
            marks=marks,
            reading="The time of the gradient of the same text, cut into windows of that length, on this machine: "
            "short windows cost more calls.",
        ),
    ]
