"""Spans over a text: the labels that stretches of its tokens have, in several rows that are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from elman.report.figure import Cell, Figure, Table
from elman.report.palette import COLOURS

STYLE = """
.spans{display:flex;flex-wrap:wrap;row-gap:14px;font-size:15px;line-height:1.5;overflow-wrap:anywhere}
.spans>span{display:flex;flex-direction:column}.spans b{font-weight:400;padding:0 5px;min-height:1.5em}
.spans i{font:12px/18px var(--sans);height:22px;margin-top:3px;padding:0 6px;white-space:nowrap}
.spans i[class]{background:color-mix(in srgb,var(--c) 20%,transparent);border:solid var(--c);border-width:2px 0}
.spans i.begin{border-left-width:2px;border-radius:5px 0 0 5px;margin-left:2px}
.spans i.end{border-right-width:2px;border-radius:0 5px 5px 0;margin-right:2px}.spans i.begin.end{border-radius:5px}
.spans i.odd{background:none;border-style:dashed}
.spans .heads i{padding:0 8px 0 0;color:var(--soft)}
"""


Span = tuple[str, int, int]
"""A label, and the tokens [start, stop) that have it."""


def span_text(
    tokens: Sequence[str],
    rows: Mapping[str, Sequence[Span]],
    *,
    labels: Sequence[str],
    title: str,
    reading: str,
) -> Figure:
    """Tokens (T,) with rows of spans below them, by the rows' names; spans of one row do not overlap.

    A span that every row has is filled, any other one has a dashed border: what only some say is seen without reading.
    `labels` are all that there are, so that a label has the same colour in every text.

    >>> rows = {"true": [("artist", 1, 3)], "said": [("artist", 1, 2)]}
    >>> figure = span_text(["play", "Nina", "Simone"], rows, labels=["artist"], title="Spans", reading="")
    >>> figure.table.rows
    [('Nina', 'artist', '', 'yes'), ('Nina Simone', 'artist', 'yes', '')]
    """
    colours = {label: 1 + at % COLOURS for at, label in enumerate(labels)}
    agreed = set.intersection(*(set(spans) for spans in rows.values()))
    cells = [["<i></i>"] * len(tokens) for _ in rows]
    for row, spans in zip(cells, rows.values(), strict=True):
        for label, start, stop in spans:
            for at in range(start, stop):
                ends = " begin" * (at == start) + " end" * (at == stop - 1)
                kind = f"c{colours.get(label, 0)}{ends}{'' if (label, start, stop) in agreed else ' odd'}"
                row[at] = f'<i class="{kind}">{escape(label) if at == start else ""}</i>'
    heads = "".join(f"<i>{escape(name)}</i>" for name in rows)
    parts = [f'<span class="heads"><b></b>{heads}</span>']
    for token, *below in zip(tokens, *cells, strict=True):
        parts.append(f"<span><b>{escape(token)}</b>{''.join(below)}</span>")
    found = sorted({span for spans in rows.values() for span in spans}, key=lambda span: (span[1:], span[0]))
    listed: list[tuple[Cell, ...]] = [
        (
            " ".join(tokens[start:stop]),
            label,
            *("yes" if (label, start, stop) in spans else "" for spans in rows.values()),
        )
        for label, start, stop in found
    ]
    return Figure(
        title, f'<div class="spans">{"".join(parts)}</div>', reading, Table(["", "label", *rows], listed), (), True
    )
