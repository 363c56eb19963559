"""Several figures of which one is chosen: passages, heads, series."""

from __future__ import annotations

from collections.abc import Mapping

from elman.report.chart import Chart
from elman.report.figure import Figure, Table


def choice(options: Mapping[str, Figure], *, title: str, reading: str = "", columns: int | None = None) -> Figure:
    """Figures by the words of the buttons that choose them; each keeps its title, its numbers and how it is read.

    Args:
        columns: the buttons stand in a grid of so many columns, such as the heads of a layer; None: in a row.

    In print and where scripts do not run all of them are there, one below the other.

    >>> from elman.report import passages
    >>> options = {name: passages([[("text", name)]], title=name, reading="") for name in ("first", "second")}
    >>> [name for name, _ in choice(options, title="Passages").parts]
    ['first', 'second']
    """
    data = {"columns": columns}
    wide = any(figure.wide for figure in options.values())
    return Figure(title, "", reading, Table((), ()), (), wide, Chart("choice", data), parts=tuple(options.items()))
