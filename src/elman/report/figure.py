"""A figure: a drawing, the numbers in it, and a sentence on how to read it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from elman.report.chart import Chart

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Numbers under headings.

    >>> Table(["model", "loss"], [("lstm", 1.4563)]).html()
    '<table><thead><tr><th>model<th>loss</thead><tbody><tr><th>lstm<td>1.46</tbody></table>'
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def html(self) -> str:
        """As an HTML table; numbers stand to the right. End tags that HTML lets one leave out are left out."""
        head = "".join(f"<th>{escape(heading)}" for heading in self.headings)
        body = "".join("<tr>" + "".join(_cell(cell) for cell in row) for row in self.rows)
        return f"<table><thead><tr>{head}</thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True)
class Figure:
    """A drawing with everything that belongs to it.

    The drawing is what one sees in print and where scripts do not run; elsewhere the component of the `chart` takes its
    place. Figures of one `link` share what is pointed at: a time (a column, a piece of a text) and a unit (a name).
    Those of one `group` share what is chosen: a unit, an order, a colour, and which series are shown. The options of a
    choice are a group unless they name another; the group of other figures is their link.

    >>> figure = Figure("A title", "<p>drawn</p>", "How to read it.", Table(["x"], [(1,), (2,)]))
    >>> figure.table.rows, figure.chart is None  # no component takes the place of the drawing
    ([(1,), (2,)], True)
    """

    title: str
    drawing: str  # markup: SVG, or styled text
    reading: str  # a sentence on how to read the drawing
    table: Table
    legend: Sequence[tuple[str, str]] = ()  # markup that shows how a series is drawn, and its name
    wide: bool = False  # takes the whole width of the page
    chart: Chart | None = None
    link: str = ""
    group: str = ""
    head: str = ""  # markup above the drawing, which stays where a component takes the drawing's place
    parts: Sequence[tuple[str, Figure]] = ()  # in place of a drawing: figures of which one is chosen, by name

    def _repr_html_(self) -> str:
        from elman.report.page import embedded

        return embedded(self)


def number(value: float | int | None) -> str:
    """A number as people read it: three significant digits.

    >>> [number(x) for x in (0.012345, 1234.5, 3, 1e-9, 0.0, None, 0.00009999999)]
    ['0.0123', '1,234', '3', '1e-9', '0', '–', '1e-4']
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{int(value):,}"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        digits, _, exponent = f"{value:.2e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"<th>{escape(cell)}"
    return f"<td>{number(cell)}"
