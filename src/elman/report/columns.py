"""A table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width, the first to the left and the others to the right.

    >>> aligned([("model", "n"), ("a", "10"), ("bc", "9")])
    ['model   n', 'a      10', 'bc      9']
    """
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)] or [0]
    return [
        "  ".join([row[0].ljust(first), *(text.rjust(width) for text, width in zip(row[1:], others, strict=True))])
        for row in rows
    ]
