"""Charts of lines with bands, and of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from elman.report.axes import BOTTOM, LEFT, RIGHT, TOP, Frame, Scale, dotted, drawable, span, text
from elman.report.figure import Cell, Figure, Table, number
from elman.report.palette import SeriesStyle, line_key, point, point_key, series_styles

Values = npt.NDArray[np.floating] | npt.NDArray[np.integer]

MOST_DOTS = 40  # a line's points that tell their numbers under the pointer
MARK_LETTER, MARK_ROW = 6.2, 13  # how wide a letter of a mark's word is at most, and how high its row
MOST_ROWS = 400  # of a table: longer ones are thinned, the first and the last row kept


@dataclass(frozen=True)
class Line:
    """A line through (x, y), with a band from `low` to `high` where they are given.

    `colour` and `dashed` are wishes: no two lines of a chart look the same (`palette.series_styles`).
    """

    name: str
    x: Values
    y: Values
    low: Values | None = None
    high: Values | None = None
    colour: int | None = None  # from 1; None is one of its own
    dashed: bool = False


@dataclass(frozen=True)
class Mark:
    """A dotted vertical line with a word beside it."""

    x: float
    text: str


@dataclass(frozen=True)
class Points:
    """Points at (x, y), joined in their order where `path` is true; `texts` appear under the pointer.

    No two groups of a chart look the same (`palette.series_styles`).
    """

    name: str
    x: Values
    y: Values
    colour: int | None = None  # from 1; None is one of their own, 0 the background's grey
    texts: Sequence[str] = ()
    path: bool = False
    labels: Sequence[tuple[int, str]] = ()  # the index of a point, and the words beside it


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x: str,
    y: str,
    reading: str,
    log_x: bool = False,
    log_y: bool = False,
    zero: bool = False,
    y_span: tuple[float, float] | None = None,
    marks: Sequence[Mark] = (),
    wide: bool = False,
) -> Figure:
    """Lines over one x axis; a logarithmic axis leaves out all values that are not positive.

    `zero` takes 0 into the y axis; `y_span` sets its ends.
    """
    heights = [part for line in lines for part in (line.y, line.low, line.high) if part is not None]
    vertical = y_span or span(heights, log=log_y, zero=zero)
    horizontal = _tight([line.x for line in lines], log_x)
    right = (980 if wide else 480) - RIGHT
    axes = Frame(Scale(*horizontal, LEFT, right, log_x), Scale(*vertical, 300 - BOTTOM, TOP, log_y), x, y)
    styled = list(zip(lines, series_styles([(line.colour, int(line.dashed)) for line in lines]), strict=True))
    parts = _marks([mark for mark in marks if horizontal[0] <= mark.x <= horizontal[1]], axes)
    parts += [_band(line, axes, style) for line, style in styled]
    parts += [_curve(line, axes, style) for line, style in styled]
    parts += [_dots(line, axes, x) for line in lines]
    legend = [(line_key(style), line.name) for line, style in styled]
    return Figure(title, axes.draw(parts, title), reading, _table(lines, x), legend, wide)


def point_chart(
    groups: Sequence[Points],
    *,
    title: str,
    x: str,
    y: str,
    reading: str,
    x_span: tuple[float, float] | None = None,
    y_span: tuple[float, float] | None = None,
    table: Table | None = None,
) -> Figure:
    """Points in a plane; the table lists them all unless another one is given."""
    horizontal = x_span or span([group.x for group in groups])
    vertical = y_span or span([group.y for group in groups])
    axes = Frame(Scale(*horizontal, LEFT, 480 - RIGHT), Scale(*vertical, 340 - BOTTOM, TOP), x, y)
    styled = list(zip(groups, series_styles([(group.colour, 0) for group in groups]), strict=True))
    parts = [_group(group, axes, style) for group, style in styled]
    rows = [
        (group.name, label, float(a), float(b))
        for group in groups
        for label, a, b in zip_longest(group.texts or [""] * len(group.x), group.x, group.y, fillvalue="")
    ]
    legend = [(point_key(style), group.name) for group, style in styled]
    return Figure(title, axes.draw(parts, title), reading, table or Table(("", "", x, y), rows), legend)


def _tight(values: Sequence[Values], log: bool) -> tuple[float, float]:
    """From the least to the greatest x: an axis of lags or steps ends where the data end."""
    every = drawable(values, log)
    if not len(every) or every.min() == every.max():
        return span([every], log=log)
    return float(every.min()), float(every.max())


def _drawn(line: Line, axes: Frame, *heights: Values) -> npt.NDArray[np.bool_]:
    """Which points can be drawn."""
    good = np.isfinite(np.asarray(line.x, np.float64))
    for values in heights:
        good &= np.isfinite(np.asarray(values, np.float64)) & ((np.asarray(values) > 0) | (not axes.y.log))
    return good & ((np.asarray(line.x) > 0) | (not axes.x.log))


def _path(x: Values, y: Values) -> str:
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _band(line: Line, axes: Frame, style: SeriesStyle) -> str:
    if line.low is None or line.high is None:
        return ""
    # On a logarithmic axis a band that reaches down to zero is drawn down to the axis.
    low = np.maximum(line.low, axes.y.low)
    good = _drawn(line, axes, low, line.high)
    if not good.any():
        return ""
    x = axes.x(line.x[good])
    there, back = _path(x, axes.y(line.high[good])), _path(x[::-1], axes.y(low[good])[::-1])
    return f'<path class="band c{style.colour}" d="M{there}L{back}Z"/>'


def _curve(line: Line, axes: Frame, style: SeriesStyle) -> str:
    good = _drawn(line, axes, line.y)
    if not good.any():
        return ""
    pieces = []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], good.astype(int), [0]))))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        pieces.append("M" + _path(axes.x(line.x[begin:end]), axes.y(line.y[begin:end])))
    path = f'<path class="line {style.classes}" d="{"".join(pieces)}"/>'
    if not style.number:
        return path
    last = np.flatnonzero(good)[-1]
    return path + text(
        "note", float(axes.x(line.x[last])) - 4, float(axes.y(line.y[last])) - 4, str(style.number), "end"
    )


def _dots(line: Line, axes: Frame, x: str) -> str:
    good = np.flatnonzero(_drawn(line, axes, line.y))
    parts = []
    for index in good[np.unique(np.linspace(0, len(good) - 1, min(len(good), MOST_DOTS)).astype(int))]:
        words = f"{line.name}: {number(float(line.y[index]))} ({x} {number(float(line.x[index]))})"
        a, b = axes.x(line.x[index]), axes.y(line.y[index])
        parts.append(f'<circle class="hit" cx="{a:.1f}" cy="{b:.1f}" r="7"><title>{escape(words)}</title></circle>')
    return "".join(parts)


def _marks(marks: Sequence[Mark], axes: Frame) -> list[str]:
    """Lines with their words at the top, each on the first row where it meets no other."""
    parts: list[str] = []
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


def _group(group: Points, axes: Frame, style: SeriesStyle) -> str:
    x, y = axes.x(group.x), axes.y(group.y)
    parts = [f'<path class="trail c{style.colour}" d="M{_path(x, y)}"/>'] if group.path and len(x) else []
    for index, (a, b) in enumerate(zip(x, y, strict=True)):
        parts.append(point(style, a, b, f"<title>{escape(group.texts[index])}</title>" if group.texts else ""))
    labels = [*group.labels, *([(0, str(style.number))] if style.number and len(x) else [])]
    parts += [text("note", x[index] + 5, y[index] - 4, words) for index, words in labels]
    return "".join(parts)


def _table(lines: Sequence[Line], x: str) -> Table:
    """One table for all lines, by x; thinned where it is long."""
    headings, columns = [x], []
    for line in lines:
        found = {"": line.y, ", low": line.low, ", high": line.high}
        for ending, values in found.items():
            if values is not None:
                headings.append(line.name + ending)
                columns.append(dict(zip(line.x.tolist(), values.tolist(), strict=True)))
    places = np.unique(np.concatenate([np.asarray(line.x) for line in lines])) if lines else np.zeros(0)
    if len(places) > MOST_ROWS:
        places = places[np.linspace(0, len(places) - 1, MOST_ROWS).astype(int)]
    rows: list[list[Cell]] = [[place, *(column.get(place) for column in columns)] for place in places.tolist()]
    return Table(headings, rows)
