"""Alignments: which words of a source were looked at as each word was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.report.chart import Chart, Half, largest
from elman.report.figure import Figure
from elman.report.heatmap import heatmap


def alignment(
    weights: npt.NDArray[np.floating],
    source: Sequence[str],
    target: Sequence[str],
    *,
    title: str,
    reading: str,
    x: str = "source",
    y: str = "written",
    texts: Sequence[tuple[str, str]] = (),
    right: bool | None = None,
    limit: float | None = 1.0,
    share: bool = True,
    link: str = "",
) -> Figure:
    """A matrix (T, S) with a row for every word that was written, and the names of all rows and columns.

    Args:
        weights: at least 0; `limit` has the full colour (None: the largest).
        share: whether weights are parts of 1, and told as percentages.
        texts: named texts above the matrix, such as the source, the reference and what was written.
        right: whether what was written is the reference; None: there is no reference.

    >>> weights = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> figure = alignment(weights, ["two", "cats"], ["zwei", "Katzen"], title="Attention", reading="Rows look.")
    >>> figure.table.rows[0]
    ['zwei', 0.9, 0.1]
    """
    full = largest(weights) if limit is None else limit
    drawn = heatmap(weights, title=title, reading=reading, x=x, y=y, rows=target, columns=source, limit=full)
    lines = [f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in texts]
    if right is not None:
        words = "✓ the same as the reference" if right else "✗ not the reference"
        lines.append(f'<dt>outcome</dt><dd class="{"right" if right else "wrong"}">{words}</dd>')
    head = f'<dl class="passages">{"".join(lines)}</dl>' if lines else ""
    data: dict[str, Any] = {"x": x, "y": y, "source": list(source), "target": list(target)}
    data |= {"weights": Half(weights), "full": full, "share": share}
    return replace(drawn, head=head, chart=Chart("alignment", data), link=link)
