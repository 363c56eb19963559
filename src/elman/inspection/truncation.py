"""What truncated backpropagation through time leaves of the gradient, and what it spares."""

from __future__ import annotations

from elman.inspection.part import Part
from elman.inspection.subject import Subject
from elman.lens.truncation import Truncation, doubling_windows, truncation
from elman.report import Figure, Line, Mark, Section, line_chart

ROWS, STEPS = 8, 256
WANTED = 0.99  # cosine

TEXT = (
    "Training cuts the gradient every so many steps. Here the whole gradient of a stretch of text is computed, and "
    "what each window leaves of it is compared with it. "
)


def look(subject: Subject) -> Part:
    """Both models on the same windows of the text."""
    windows = subject.windows(ROWS, STEPS + 1)
    steps = windows.shape[1] - 1
    settings = subject.settings
    used = None if settings is None else settings.train.backward_steps
    tried = sorted({*doubling_windows(steps), *([used] if used and used < steps else [])})
    found = {
        name: truncation(model, windows[:, :-1], windows[:, 1:], windows=tried)
        for name, model in subject.models.items()
    }
    trained = found["trained"]
    lines = [
        f"the smallest window whose gradient has a cosine of {WANTED} with the whole one, {name}: "
        f"{result.smallest_window(WANTED)} steps"
        for name, result in found.items()
    ]
    if used and used in trained.windows:
        index = trained.windows.tolist().index(used)
        lines.append(f"the run was trained with {used} steps: cosine {trained.cosine[index]:.3f} at its end")
    marks = [Mark(float(used), f"trained with {used}")] if used and used <= steps else []
    figures = [*_bias_figures(found, marks), *_cost_figures(trained, marks)]
    about = f"{windows.shape[0]} rows of {steps} steps, from a fresh memory."
    numbers = {
        name: {
            "windows": result.windows,
            "cosine": result.cosine,
            "bias": result.bias,
            "seconds": result.seconds,
            "megabytes": result.megabytes,
            f"smallest_window_{WANTED}": result.smallest_window(WANTED),
        }
        for name, result in found.items()
    }
    return Part(Section("Truncation", TEXT + about, figures, lines), numbers, lines)


def _bias_figures(found: dict[str, Truncation], marks: list[Mark]) -> list[Figure]:
    def lines(name: str) -> list[Line]:
        return [
            Line(model, it.windows, getattr(it, name), colour=1 + (model != "trained"), dashed=model != "trained")
            for model, it in found.items()
        ]

    return [
        line_chart(
            lines("cosine"),
            title="Cosine with the whole gradient",
            x="window, steps",
            y="cosine",
            log_x=True,
            marks=marks,
            reading="How well the truncated gradient points where the whole one does: 1 is the same direction, and "
            "where the line is flat a longer window gains nothing.",
        ),
        line_chart(
            lines("bias"),
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


def _cost_figures(trained: Truncation, marks: list[Mark]) -> list[Figure]:
    return [
        line_chart(
            [Line("kept for the backward pass", trained.windows, trained.megabytes, colour=3)],
            title="Cost in memory",
            x="window, steps",
            y="MB",
            log_x=True,
            zero=True,
            marks=marks,
            reading="What has to be kept for the backward pass at its largest, the parameters aside.",
        ),
        line_chart(
            [Line("the gradient of all steps", trained.windows, trained.seconds, colour=4)],
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
