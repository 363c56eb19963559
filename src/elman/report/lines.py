"""Charts of lines with bands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.report.axes import BOTTOM, LEFT, LETTER_ROOM, RIGHT, TOP, Frame, Scale, drawable, interval, span, text
from elman.report.chart import Chart
from elman.report.figure import Cell, Figure, Table, number
from elman.report.marks import Mark, draw_marks
from elman.report.palette import SeriesStyle, line_key, point, series_styles

Values = npt.NDArray[np.floating] | npt.NDArray[np.integer]

MOST_DOTS = 40  # a line's points that tell their numbers under the pointer
MOST_ROWS = 400  # of a table: longer ones are thinned, the first and the last row kept
NARROW, WIDE, HEIGHT = 480, 980, 300


@dataclass(frozen=True)
class Line:
    """A line through (x, y), with a band from `low` to `high` where they are given.

    `colour` and `dashed` are wishes: no two lines of a chart look the same (`palette.series_styles`).

    >>> x = np.arange(5)
    >>> line = Line("loss", x, 1 / (1 + x), low=0.9 / (1 + x), high=1.1 / (1 + x), bars=True)
    >>> [name for name, _ in line.ends()]
    ['', ', low', ', high']
    """

    name: str
    x: Values
    y: Values
    low: Values | None = None
    high: Values | None = None
    colour: int | None = None  # from 1; None is one of its own
    dashed: bool = False
    dots: bool = False  # each of its points is drawn
    bars: bool = False  # likewise, and `low` and `high` are the ends of an error bar at each rather than of a band
    bands: Mapping[str, tuple[Values, Values]] = field(default_factory=dict)  # more bands, by name

    def ends(self) -> Iterator[tuple[str, Values]]:
        """All that is drawn, by what is added to the line's name."""
        yield "", self.y
        if self.low is not None and self.high is not None:
            yield from ((", low", self.low), (", high", self.high))
        for name, (low, high) in self.bands.items():
            yield from ((f", {name}, low", low), (f", {name}, high", high))


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
    skip_first: float = 0.0,
    marks: Sequence[Mark] = (),
    names: Sequence[str] = (),
    wide: bool = False,
    link: str = "",
) -> Figure:
    """Lines over one x axis; a logarithmic axis leaves out all values that are not positive.

    `zero` takes 0 into the y axis; `y_span` sets its ends; `skip_first` leaves the values in the first part of the x
    axis (0 … 1) out of the choice of its ends, so that a learning curve shows its end. `names` are words for x = 0, 1,
    …: the chart grows until they have room.

    >>> steps = np.arange(1, 101)
    >>> lines = [Line("gru", steps, 2 + 8 / steps), Line("lstm", steps, 1.9 + 9 / steps)]
    >>> figure = line_chart(lines, title="Loss", x="step", y="nats", reading="Lower is better.", skip_first=0.2)
    >>> [name for _, name in figure.legend], figure.table.headings
    (['gru', 'lstm'], ['step', 'gru', 'lstm'])
    """
    horizontal = _tight([line.x for line in lines], log_x)
    begin = _begin(horizontal, skip_first, log_x)
    heights = [values for line in lines for _, values in line.ends()]
    late = [values[line.x >= begin] for line in lines for _, values in line.ends()]
    vertical = y_span or span(late, log=log_y, zero=zero)
    least = LEFT + RIGHT + len(names) * LETTER_ROOM
    wide = wide or least > NARROW
    right = max(WIDE if wide else NARROW, least) - RIGHT
    axes = Frame(Scale(*horizontal, LEFT, right, log_x), Scale(*vertical, HEIGHT - BOTTOM, TOP, log_y), x, y, names)
    styles = series_styles([(line.colour, int(line.dashed)) for line in lines])
    styled = list(zip(lines, styles, strict=True))
    inside = [mark for mark in marks if horizontal[0] <= mark.x <= horizontal[1]]
    marked = draw_marks(inside, axes)
    parts = [line for line, _ in marked]
    parts += [_band(line, axes, style, *pair) for line, style in styled for pair in _bands(line)]
    parts += [_curve(line, axes, style) for line, style in styled]
    parts += [_number(line, axes, style) for line, style in styled if style.number]
    parts += [words for _, words in marked]
    parts += [_dots(line, axes, x) for line in lines]
    data = {
        "x": x,
        "y": y,
        "log": [log_x, log_y],
        "spans": [horizontal, vertical, y_span or span(heights, log=log_y, zero=zero)],
        "lines": [_data(line, style) for line, style in styled],
        "marks": [[mark.x, mark.text] for mark in inside],
        "names": list(names),
    }
    legend = [(line_key(style), line.name) for line, style in styled]
    drawing = axes.draw(parts, title)
    return Figure(title, drawing, reading, _table(lines, x), legend, wide, Chart("lines", data), link)


def _tight(values: Sequence[Values], log: bool) -> tuple[float, float]:
    """From the least to the greatest x: an axis of lags or steps ends where the data end."""
    every = drawable(values, log)
    if not len(every) or every.min() == every.max():
        return span([every], log=log)
    return float(every.min()), float(every.max())


def _begin(ends: tuple[float, float], part: float, log: bool) -> float:
    """The x at which so large a part of the axis is over."""
    low, high = map(math.log, ends) if log else ends
    place = low + part * (high - low)
    return (math.exp(place) if log else place) if part else -math.inf


def _data(line: Line, style: SeriesStyle) -> dict[str, Any]:
    bands = [{"name": name, "low": low, "high": high} for name, (low, high) in line.bands.items()]
    if line.low is not None and line.high is not None:
        bands.insert(0, {"name": "", "low": line.low, "high": line.high})
    shown = {"name": line.name, **style.json(), "x": line.x, "y": line.y, "bands": bands}
    return shown | {"dots": line.dots or line.bars, "bars": line.bars}


def _drawn(line: Line, axes: Frame, *heights: Values) -> npt.NDArray[np.bool_]:
    """Which points can be drawn."""
    good = np.isfinite(np.asarray(line.x, np.float64))
    for values in heights:
        good &= np.isfinite(np.asarray(values, np.float64)) & ((np.asarray(values) > 0) | (not axes.y.log))
    return good & ((np.asarray(line.x) > 0) | (not axes.x.log))


def path(x: Values, y: Values) -> str:
    """The points of a line, as SVG."""
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _bands(line: Line) -> Iterator[tuple[Values, Values]]:
    if line.low is not None and line.high is not None:
        yield line.low, line.high
    yield from line.bands.values()


def _band(line: Line, axes: Frame, style: SeriesStyle, low: Values, high: Values) -> str:
    # On a logarithmic axis a band that reaches down to zero is drawn down to the axis.
    low = np.maximum(low, axes.y.low)
    good = _drawn(line, axes, low, high)
    if not good.any():
        return ""
    x, above, below = axes.x(line.x[good]), axes.y(high[good]), axes.y(low[good])
    if line.bars:
        ends = zip(x, below, above, strict=True)
        return "".join(interval(at, foot, top, style.colour) for at, foot, top in ends)
    return f'<path class="band c{style.colour}" d="M{path(x, above)}L{path(x[::-1], below[::-1])}Z"/>'


def _seen(line: Line, axes: Frame) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which points a curve goes through, and which of these lie within the axes.

    Where it runs beyond the axis it is left out, but for the points at which it leaves and comes back.
    """
    good = _drawn(line, axes, line.y)
    inside = good & (np.asarray(line.y) <= axes.y.high) & (np.asarray(line.y) >= axes.y.low)
    return good & (inside | np.append(inside[1:], False) | np.append(False, inside[:-1])), inside


def _curve(line: Line, axes: Frame, style: SeriesStyle) -> str:
    good, inside = _seen(line, axes)
    if not good.any():
        return ""
    pieces = []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], good.astype(int), [0]))))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        pieces.append("M" + path(axes.x(line.x[begin:end]), axes.y(line.y[begin:end])))
    shown = f'<path class="line {style.classes}" d="{"".join(pieces)}"/>'
    if line.dots or line.bars:
        shown += "".join(
            point(style, x, y) for x, y in zip(axes.x(line.x[inside]), axes.y(line.y[inside]), strict=True)
        )
    return shown


def _number(line: Line, axes: Frame, style: SeriesStyle) -> str:
    """The number of a line that shares its colour with another, at the end of what is seen of it."""
    seen = np.flatnonzero(_seen(line, axes)[0])
    if not len(seen):
        return ""
    x, y = float(axes.x(line.x[seen[-1]])), float(axes.y(line.y[seen[-1]]))
    return text("note", x - 4, y - 4, str(style.number), "end")


def _dots(line: Line, axes: Frame, x: str) -> str:
    good = np.flatnonzero(_drawn(line, axes, line.y))
    parts = []
    for index in good[np.unique(np.linspace(0, len(good) - 1, min(len(good), MOST_DOTS)).astype(int))]:
        words = f"{line.name}: {number(float(line.y[index]))} ({x} {number(float(line.x[index]))})"
        a, b = axes.x(line.x[index]), axes.y(line.y[index])
        parts.append(f'<circle class="hit" cx="{a:.1f}" cy="{b:.1f}" r="7"><title>{escape(words)}</title></circle>')
    return "".join(parts)


def _table(lines: Sequence[Line], x: str) -> Table:
    """One table for all lines, by x; thinned where it is long."""
    headings, columns = [x], []
    for line in lines:
        for ending, values in line.ends():
            headings.append(line.name + ending)
            columns.append(dict(zip(line.x.tolist(), values.tolist(), strict=True)))
    places = np.unique(np.concatenate([np.asarray(line.x) for line in lines])) if lines else np.zeros(0)
    if len(places) > MOST_ROWS:
        places = places[np.linspace(0, len(places) - 1, MOST_ROWS).astype(int)]
    rows: list[list[Cell]] = [[place, *(column.get(place) for column in columns)] for place in places.tolist()]
    return Table(headings, rows)
