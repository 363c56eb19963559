"""Texts that belong together, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from elman.report.figure import Figure, Table


def passages(groups: Sequence[Sequence[tuple[str, str]]], *, title: str, reading: str) -> Figure:
    """Groups of named texts: (name, text) pairs, each on its own line so that they can be compared word by word."""
    parts = ["".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in group) for group in groups]
    drawing = "".join(f'<dl class="passages">{part}</dl>' for part in parts)
    rows = [[str(number), name, text] for number, group in enumerate(groups, start=1) for name, text in group]
    return Figure(title, f"<div>{drawing}</div>", reading, Table(("", "", "text"), rows), (), True)
