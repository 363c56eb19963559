"""Bars: a number for each name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from elman.report.axes import Scale, dotted, interval, span, svg, text
from elman.report.chart import Chart
from elman.report.figure import Cell, Figure, Table, number
from elman.report.lines import Values
from elman.report.marks import Mark
from elman.report.names import letters, shorten, written

WIDTH = 480
CHARACTER, SIZE = 7.0, 12.5  # width of a name's letters, about, and their height
MOST = 28  # letters of a name: bars leave more room than the cells of a matrix


def bar_chart(
    names: Sequence[str],
    values: npt.NDArray[np.floating],
    *,
    title: str,
    x: str,
    reading: str,
    notes: Sequence[str] = (),
    limit: float | None = None,
    colour: int = 1,
    marks: Sequence[Mark] = (),
    low: Values | None = None,
    high: Values | None = None,
    link: str = "",
) -> Figure:
    """Horizontal bars from zero, one below the other; `notes` stand after the values, `limit` ends the axis.

    `low` and `high` are the ends of error bars.

    >>> gates = np.array([0.3, 0.8])
    >>> figure = bar_chart(["input gate", "forget gate"], gates, title="Gates", x="mean", reading="1: open", limit=1.0)
    >>> figure.table.rows
    [('input gate', 0.3), ('forget gate', 0.8)]
    """
    ends = [] if low is None or high is None else [low, high]
    left = max((letters(shorten(name, MOST)) for name in names), default=0) * CHARACTER + 14
    room = 60 + max((len(note) for note in notes), default=0) * CHARACTER
    row, top = (22 if len(names) <= 16 else 16), 26 + 16 * len(marks)
    bounds = (
        span([values, *ends, np.array([mark.x for mark in marks])], zero=True)
        if limit is None
        else (min(0.0, float(np.min(values, initial=0))), limit)
    )
    scale = Scale(*bounds, left, WIDTH - room)
    zero = float(scale(0.0))
    height = top + row * len(names) + 8
    parts = [text("label", 4, 14, x)]
    for index, mark in enumerate(marks):
        x_mark, y = float(scale(mark.x)), 38 + 16 * index
        parts.extend(dotted(x_mark, y - 10, height - 8, mark.text, y, left=x_mark > WIDTH / 2))
    rows: list[tuple[Cell, ...]] = []
    for index, (name, value) in enumerate(zip(names, values.tolist(), strict=True)):
        y = top + index * row
        parts.append(written(name, SIZE, left - 8, y + row / 2 + 4, "end", most=MOST))
        said = f"{number(value)} · {notes[index]}" if notes else number(value)
        parts += _bar(scale, value, [each[index] for each in ends], y, row, colour, said)
        rows.append((name, value, *(float(each[index]) for each in ends), *notes[index : index + 1]))
    parts.append(f'<path class="axis" d="M{zero:.1f} {top}V{height - 8}"/>')
    table = Table(["", x, *(["low", "high"] if ends else []), *([""] if notes else [])], rows)
    data = {
        "x": x,
        "names": list(names),
        "values": values,
        "ends": ends,
        "notes": list(notes),
        "span": bounds,
        "colour": f"c{colour}",
        "marks": [[mark.x, mark.text] for mark in marks],
    }
    drawing = svg("".join(parts), WIDTH, height, title)
    return Figure(title, drawing, reading, table, chart=Chart("bars", data), link=link)


def _bar(
    scale: Scale, value: float, ends: Sequence[float], y: float, row: float, colour: int, said: str
) -> Iterator[str]:
    """A bar from zero with its error bar, if it has `ends`, and what is said of it behind them."""
    zero, end = float(scale(0.0)), float(scale(value))
    yield (
        f'<rect class="bar c{colour}" x="{min(zero, end):.1f}" y="{y + 3}" '
        f'width="{abs(end - zero):.1f}" height="{row - 6}" rx="2"/>'
    )
    reach = max(zero, end)
    if ends:
        below, above = scale(ends).tolist()
        reach = max(reach, above)
        yield interval(y + row / 2, below, above, 0, across=True)
    yield text("note", reach + 6, y + row / 2 + 4, said)
