"""How much of the gradient truncated backpropagation through time keeps, and the cost that it saves."""

from __future__ import annotations

from typing import Any

from elman.inspection.look import Part
from elman.inspection.subject import Subject
from elman.lens.truncation import Truncation, doubling_windows, truncation
from elman.report import Chapter, Figure, Line, Mark, line_chart

SHORTEST = 2  # of the windows that are tried
WANTED = (0.9, 0.99, 0.999)  # cosines

TEXT = (
    "Training cuts the gradient every so many steps. Here the whole gradient of a stretch of text is computed and "
    "compared with the gradient through each window. "
)


def look(subject: Subject) -> Part:
    """The trained model on windows of the text."""
    (inputs, targets, resets), train = subject.excerpt, subject.train
    rows, steps = inputs.shape

    def through(windows: set[int], **options: Any) -> Truncation:
        return truncation(
            subject.model, inputs, targets, resets=resets, windows=sorted(windows), whole=subject.whole, **options
        )

    # With "auto", the window changed as the training went on.
    used = None if train is None or train.k2 == "auto" else train.backward_steps
    found = through(
        {k for k in doubling_windows(steps) if k >= SHORTEST} | ({used} if used and used < steps else set())
    )
    # A gradient that is zero has a cosine with no other.
    wanted = {cosine: found.smallest_window(cosine) for cosine in WANTED if found.cosine[-1] >= cosine}
    lines = _lines(wanted, steps) or ["the whole gradient is zero: there is nothing to compare with"]
    if wanted and train is not None and used and used in found.windows:
        own = found if used == train.k1 else through({used}, stride=train.k1, warm_up=False)
        cosine = own.cosine[own.windows.tolist().index(used)]
        lines.append(
            f"the run was trained with the gradient of every {train.k1} steps through the last {used} steps, whose "
            f"cosine with the whole one is {cosine:.3f} at the trained weights"
        )
    marks = [Mark(float(used), f"trained with {used}")] if used and used <= steps else []
    numbers = vars(found) | {"smallest_windows": {str(cosine): k for cosine, k in wanted.items()}}
    del numbers["gradient"]  # as long as all parameters
    text = f"{TEXT}It was measured on {rows} rows of {steps} steps, each from a fresh memory."
    return Part(Chapter("Truncation", text, _figures(found, marks), lines), numbers, lines)


def _lines(wanted: dict[float, int], steps: int) -> list[str]:
    """What is said of the smallest window for each cosine; that all steps agree with themselves says nothing."""
    lines = [
        f"cut every {k} steps, a gradient has a cosine of at least {cosine} with the whole one"
        for cosine, k in wanted.items()
        if k < steps
    ]
    if beyond := [cosine for cosine, k in wanted.items() if k == steps]:
        lines.append(
            f"of the windows that were tried, none shorter than the whole {steps} steps keeps a cosine of at least "
            f"{min(beyond)}"
        )
    return lines


def _figures(found: Truncation, marks: list[Mark]) -> list[Figure]:
    def chart(line: str, values: Any, title: str, y: str, colour: int, reading: str) -> Figure:
        return line_chart(
            [Line(line, found.windows, values, colour=colour)],
            title=title,
            x="window, steps",
            y=y,
            log_x=True,
            zero=y != "cosine",
            marks=marks,
            reading=reading,
        )

    return [
        chart(
            "cosine",
            found.cosine,
            "Cosine with the whole gradient",
            "cosine",
            1,
            "How well the directions of the truncated and the whole gradient agree: 1 is the same direction, and where "
            "the line is flat a longer window gains nothing.",
        ),
        chart(
            "relative bias",
            found.bias,
            "Relative bias",
            "‖g(k) − g‖ / ‖g‖",
            2,
            "The size of the truncated gradient's error, as a multiple of the whole gradient's size: 0 is no error.",
        ),
        chart(
            "kept for the backward pass",
            found.megabytes,
            "Cost in RAM",
            "MB",
            3,
            "The most that a backward pass keeps in RAM, the parameters aside.",
        ),
        chart(
            "the gradient of all steps",
            found.seconds,
            "Cost in time",
            "seconds",
            4,
            "The time of the gradient of the same text, cut into windows of that length, on this machine: short "
            "windows cost more calls.",
        ),
    ]
