"""Charts of points in a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import Any

from elman.report.axes import BOTTOM, LEFT, RIGHT, TOP, Frame, Scale, interval, span, text
from elman.report.chart import Chart
from elman.report.figure import Cell, Figure, Table
from elman.report.lines import MOST_ROWS, NARROW, Values, path
from elman.report.palette import SHAPES, SeriesStyle, point, point_key, series_styles

HEIGHT = 340

MOST_TITLES = 200  # of the points of a group: more would be most of the page, and scripts have them


@dataclass(frozen=True)
class Points:
    """Points at (x, y), joined in their order where `path` is true; `texts` appear under the pointer.

    No two groups of a chart look the same (`palette.series_styles`). `low` and `high` are the ends of error bars.

    >>> import numpy as np
    >>> path = Points("states", np.array([0.0, 1.0]), np.array([2.0, 3.0]), texts=["c", "a"], path=True)
    >>> path.texts[1], float(path.x[1]), float(path.y[1])  # what the pointer shows at the second point
    ('a', 1.0, 3.0)
    """

    name: str
    x: Values
    y: Values
    colour: int | None = None  # from 1; None is one of their own, 0 the background's grey
    texts: Sequence[str] = ()
    path: bool = False
    labels: Sequence[tuple[int, str]] = ()  # the index of a point, and the words beside it
    low: Values | None = None
    high: Values | None = None


def point_chart(
    groups: Sequence[Points],
    *,
    title: str,
    x: str,
    y: str,
    reading: str,
    x_span: tuple[float, float] | None = None,
    y_span: tuple[float, float] | None = None,
    names: Sequence[str] = (),
    table: Table | None = None,
    link: str = "",
) -> Figure:
    """Points in a plane; the table lists them, or an even part of many, unless another is given.

    `names` are words for x = 0, 1, …

    >>> import numpy as np
    >>> groups = [Points("nouns", np.array([0.0, 1.0]), np.array([2.0, 3.0]), texts=["cat", "dog"])]
    >>> figure = point_chart(groups, title="Words", x="first component", y="second", reading="Near is alike.")
    >>> figure.table.rows[1]
    ('nouns', 'dog', 1.0, 3.0)
    """
    horizontal = x_span or span([group.x for group in groups])
    heights = [values for group in groups for values in (group.y, group.low, group.high) if values is not None]
    vertical = y_span or span(heights)
    axes = Frame(Scale(*horizontal, LEFT, NARROW - RIGHT), Scale(*vertical, HEIGHT - BOTTOM, TOP), x, y, names)
    styled = list(zip(groups, series_styles([(group.colour, 0) for group in groups]), strict=True))
    parts = [draw(group, axes, style) for draw in (_group, _labels) for group, style in styled]  # words over points
    barred = any(group.low is not None for group in groups)
    rows = [row for group in groups for row in _rows(group, barred)]
    rows = rows[:: -(-len(rows) // MOST_ROWS)] if rows else rows
    legend = [(point_key(style), group.name) for group, style in styled]
    spans = [horizontal, vertical]
    data = {
        "x": x,
        "y": y,
        "spans": spans,
        "names": list(names),
        "groups": [_data(group, style) for group, style in styled],
    }
    shown = table or Table(("", "", x, y, *(("low", "high") if barred else ())), rows)
    return Figure(title, axes.draw(parts, title), reading, shown, legend, chart=Chart("points", data), link=link)


def _rows(group: Points, barred: bool) -> list[tuple[Cell, ...]]:
    columns = [group.texts or [""] * len(group.x), group.x.tolist(), group.y.tolist()]
    if barred:
        blank = [None] * len(group.x)
        columns += [blank if ends is None else ends.tolist() for ends in (group.low, group.high)]
    return [(group.name, *row) for row in zip_longest(*columns, fillvalue="")]


def _data(group: Points, style: SeriesStyle) -> dict[str, Any]:
    ends = {} if group.low is None or group.high is None else {"low": group.low, "high": group.high}
    shape = SHAPES[style.pattern - 1] if style.pattern else ""
    shown = {"name": group.name, **style.json(), "shape": shape, "x": group.x, "y": group.y, **ends}
    labels = [[int(index), words] for index, words in group.labels]
    return shown | {"texts": list(group.texts), "path": group.path, "labels": labels}


def _group(group: Points, axes: Frame, style: SeriesStyle) -> str:
    x, y = axes.x(group.x), axes.y(group.y)
    parts = [f'<path class="trail c{style.colour}" d="M{path(x, y)}"/>'] if group.path and len(x) else []
    if group.low is not None and group.high is not None:
        ends = zip(x, axes.y(group.low), axes.y(group.high), strict=True)
        parts += [interval(at, low, high, style.colour) for at, low, high in ends]
    titled = 0 < len(group.texts) <= MOST_TITLES
    titles = [f"<title>{escape(words)}</title>" for words in group.texts] if titled else [""] * len(x)
    parts += [point(style, a, b, title) for a, b, title in zip(x, y, titles, strict=True)]
    return "".join(parts)


def _labels(group: Points, axes: Frame, style: SeriesStyle) -> str:
    x, y, parts = axes.x(group.x), axes.y(group.y), []
    labels = [*group.labels, *([(0, str(style.number))] if style.number and len(x) else [])]
    for index, words in labels:
        left = x[index] > (axes.x.start + axes.x.stop) * 0.7  # or the words would leave the chart
        parts.append(text("note", x[index] + (-5 if left else 5), y[index] - 4, words, "end" if left else "start"))
    return "".join(parts)
