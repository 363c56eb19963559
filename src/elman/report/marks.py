"""Dotted lines with a word beside each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elman.report.axes import Frame, dotted

MARK_LETTER, MARK_ROW = 6.2, 13  # how wide a letter of a mark's word is at most, and how high its row


@dataclass(frozen=True)
class Mark:
    """A dotted vertical line with a word beside it.

    >>> import numpy as np
    >>> from elman.report import Line, line_chart
    >>> marks = [Mark(64, "the window ends")]
    >>> line = Line("gradient", np.arange(100), 0.9 ** np.arange(100))
    >>> "the window ends" in line_chart([line], title="Flow", x="lag", y="norm", reading="", marks=marks).drawing
    True
    """

    x: float
    text: str


def draw_marks(marks: Sequence[Mark], axes: Frame) -> list[tuple[str, str]]:
    """Lines, each with its word at the top, on the first row where the word meets no other.

    A chart draws the lines below its curves, and the words over them.
    """
    parts: list[tuple[str, str]] = []
    rows: list[list[tuple[float, float]]] = []
    for mark in sorted(marks, key=lambda mark: mark.x):
        x = float(axes.x(mark.x))
        left = x > (axes.x.start + axes.x.stop) / 2
        size = MARK_LETTER * len(mark.text) + 5
        begin, end = (x - size, x) if left else (x, x + size)
        row = next((n for n, taken in enumerate(rows) if all(end < a or b < begin for a, b in taken)), len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append((begin, end))
        height = axes.y.stop + 12 + MARK_ROW * row
        parts.append(dotted(x, axes.y.stop, axes.y.start, mark.text, height, left=left))
    return parts
