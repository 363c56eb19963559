"""Figures made of text: texts that belong together, and a text with a number behind every token, as a colour."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

import numpy as np
import numpy.typing as npt

from elman.report.chart import Chart, Half, finite, largest
from elman.report.figure import Figure, Table

SHADES = 8  # on either side of zero


def passages(groups: Sequence[Sequence[tuple[str, str]]], *, title: str, reading: str) -> Figure:
    """Groups of named texts: (name, text) pairs, each on its own line so that they can be compared word by word.

    >>> figure = passages([[("source", "two cats"), ("written", "zwei Katzen")]], title="Pairs", reading="By line.")
    >>> figure.table.rows[1]
    ['1', 'written', 'zwei Katzen']
    """
    parts = ["".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in group) for group in groups]
    drawing = "".join(f'<dl class="passages">{part}</dl>' for part in parts)
    rows = [[str(number), name, text] for number, group in enumerate(groups, start=1) for name, text in group]
    return Figure(title, f"<div>{drawing}</div>", reading, Table(("", "", "text"), rows), (), True)


def text_strip(
    pieces: Sequence[str],
    values: npt.NDArray[np.floating],
    *,
    title: str,
    reading: str,
    limit: float | None = None,
    link: str = "",
) -> Figure:
    """The tokens' texts in order, orange where their value (T,) is above zero and blue where it is below.

    A piece that ends in a line break breaks the line; `limit` is the value of full colour.

    >>> figure = text_strip(list("cat"), np.array([0.1, 0.9, -0.5]), title="Unit 3", reading="Orange is above 0.")
    >>> figure.table.rows
    [('c', 0.1), ('a', 0.9), ('t', -0.5)]
    """
    full = largest(values) if limit is None else limit
    rows = [(repr(piece)[1:-1], float(f"{value:.3g}")) for piece, value in zip(pieces, values.tolist(), strict=True)]
    data = {"pieces": list(pieces), "values": Half(values), "full": full}
    table, chart = Table(["token", "value"], rows), Chart("strip", data)
    return Figure(title, strip(pieces, values, full, title), reading, table, (), True, chart, link)


def strip(pieces: Sequence[str], values: npt.NDArray[np.floating], full: float, name: str) -> str:
    """The coloured text as HTML; who listens hears its name."""
    scaled = np.clip(finite(values) / (full or 1.0), -1, 1)
    shades = np.rint(scaled * SHADES).astype(int).tolist()
    runs = groupby(zip(pieces, shades, strict=True), key=lambda pair: pair[1])
    parts = [_run("".join(piece for piece, _ in run), shade) for shade, run in runs]
    return f'<div class="strip" tabindex="0" role="region" aria-label="{escape(name)}">{"".join(parts)}</div>'


def _run(text: str, shade: int) -> str:
    shown = escape(text).replace("\n", "↵\n").replace("\t", "    ")
    if not shade or not text:
        return shown
    return f'<i class="{"p" if shade > 0 else "n"}{abs(shade)}">{shown}</i>'
