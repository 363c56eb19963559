"""Names beside a drawing: how much room they take, and those that are too long."""

from __future__ import annotations

import unicodedata
from html import escape

LETTER = 0.59  # the room of a letter along a name, of its size
MOST_LETTERS = 20  # of a name that is drawn


def visible(piece: str) -> str:
    """A token's text with what one would not see made visible.

    >>> visible(" the\\n")
    '␣the↵'
    """
    return piece.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥").replace("\r", "␍") or "∅"


def letters(name: str) -> int:
    """How many letters' room a name takes: those of East Asia take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in name)


def shorten(name: str, most: int = MOST_LETTERS) -> str:
    """A name with its middle left out where it is too long.

    >>> shorten("Donaudampfschifffahrtsgesellschaft")
    'Donaudamp…ellschaft'
    """
    if letters(name) <= most:
        return name
    head, tail = name[:most], name[-most:]
    while letters(head) > (most - 1) // 2:
        head = head[:-1]
    while letters(tail) > (most - 1) // 2:
        tail = tail[1:]
    return f"{head}…{tail}"


def written(name: str, size: float, x: float, y: float, anchor: str, turn: int = 0, most: int = MOST_LETTERS) -> str:
    """A name as SVG; the whole of one that is too long appears under the pointer."""
    shown = shorten(name, most)
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    title = f"<title>{escape(name)}</title>" if shown != name else ""
    return (
        f'<text class="dense" style="font-size:{size:.3g}px" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>'
        f"{escape(shown)}{title}</text>"
    )
