"""Names beside a drawing: how much room they take, and those that are too long."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape

LETTER = 0.59  # the room of a letter along a name, of its size
MOST_LETTERS = 20  # of a name that is drawn
# Symbols that no text spells, in one letter each: names of a letter have no room for more.
SPECIAL = {"<unk>": "\N{REPLACEMENT CHARACTER}", "<eod>": "∎", "<eos>": "⏎", "<pad>": "·"}


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


def longest(names: Iterable[str], size: float) -> float:
    """The room that the longest name takes along its letters."""
    return max((letters(shorten(name)) for name in names), default=0) * LETTER * size


def below(
    names: Mapping[int, str], places: Sequence[float], foot: float, room: float, size: float
) -> tuple[str, float]:
    """Names under an axis that ends at `foot`, each with so much room along it, as SVG; and how far they reach down.

    All are turned where one has not room enough. A special symbol turns none: it is one letter where they are upright.
    """
    turned = longest((name for name in names.values() if name not in SPECIAL), size) > room
    parts = []
    for index, name in names.items():
        place = (places[index] + 3, foot + 6, "end", -90) if turned else (places[index], foot + 13, "middle", 0)
        parts.append(written(name, size, *place, shown=None if turned else SPECIAL.get(name)))
    return "".join(parts), max(18.0, longest(names.values(), size) + 10) if turned else 18.0


def written(
    name: str,
    size: float,
    x: float,
    y: float,
    anchor: str,
    turn: int = 0,
    *,
    most: int = MOST_LETTERS,
    shown: str | None = None,
) -> str:
    """A name as SVG; the whole of one that is shown shorter appears under the pointer."""
    shown = shown or shorten(name, most)
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    title = f"<title>{escape(name)}</title>" if shown != name else ""
    return (
        f'<text class="dense" style="font-size:{size:.3g}px" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>'
        f"{escape(shown)}{title}</text>"
    )
