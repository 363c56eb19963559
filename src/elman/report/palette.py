"""How the series of a chart are told apart: by a colour, then by a pattern, then by a number beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

# Every two of a scheme differ by 20 in CIELAB, also as they are seen without one of the three cones, and each has a
# contrast of 3 with the card it is drawn on.
LIGHT = ("#2b6ab6", "#a54001", "#005338", "#5c2779", "#b28d11", "#db446d", "#00a1b4", "#351c00")
DARK = ("#71b3f7", "#d0864d", "#9bdfae", "#956bb4", "#e6d25f", "#f26ca3", "#168274", "#ffffff")
COLOURS = len(LIGHT)
DASHES = ("none", "6 5", "1.5 4", "11 4 2 4")  # of a line
SHAPES = ("M-3-3H3V3H-3Z", "M-3.6 3L0-3.6 3.6 3Z", "M-4 0L0-4 4 0 0 4Z")  # of a point that is no circle
PATTERNS = len(DASHES)


class SeriesStyle(NamedTuple):
    """How one series is drawn."""

    colour: int  # 1 to COLOURS; 0 is the background's grey
    pattern: int = 0  # its dashes, or the shape of its points
    number: int = 0  # written beside the series where all styles are taken; 0 is none

    @property
    def classes(self) -> str:
        """As the style sheet knows it."""
        return f"c{self.colour} d{self.pattern}"

    def json(self) -> dict[str, Any]:
        """As the components know it."""
        dash = [] if self.pattern == 0 else [float(length) for length in DASHES[self.pattern].split()]
        return {"colour": f"c{self.colour}" if self.colour else "soft", "dash": dash, "number": self.number}


def series_styles(wanted: Sequence[tuple[int | None, int]]) -> list[SeriesStyle]:
    """A style for every series, no two the same, from the colour and the pattern that each wants.

    A series that wants a colour gets this colour, in another pattern where an earlier series has both: series that
    belong together may want the same colour. The colour `COLOURS` + n is the colour n in the next pattern. A series
    that wants no colour (None) gets one that no other series has, as long as there is one.

    >>> [style.classes for style in series_styles([(1, 0), (1, 0), (None, 0), (1 + COLOURS, 0)])]
    ['c1 d0', 'c1 d1', 'c2 d0', 'c1 d2']
    """
    found: dict[int, SeriesStyle] = {}
    for index in sorted(range(len(wanted)), key=lambda index: wanted[index][0] is None):
        found[index] = _free(*wanted[index], set(found.values()))
    return [found[index] for index in range(len(wanted))]


def _free(colour: int | None, pattern: int, taken: set[SeriesStyle]) -> SeriesStyle:
    if colour:
        turn, index = divmod(colour - 1, COLOURS)
        colour, pattern = index + 1, pattern + turn
    patterns = [(pattern + turn) % PATTERNS for turn in range(PATTERNS)]
    every = [SeriesStyle(c, p) for p in patterns for c in range(1, COLOURS + 1)]
    if colour is None:
        used = {style.colour for style in taken}
        every.sort(key=lambda style: style.colour in used)
    else:
        every = [SeriesStyle(colour, p) for p in patterns] + every
    free = next((style for style in every if style not in taken), None)
    return free or every[0]._replace(number=1 + sum(style.number > 0 for style in taken))


def line_key(style: SeriesStyle) -> str:
    """A line in a legend."""
    return (
        f'<svg class="key" viewBox="0 0 30 12"><path class="line {style.classes}" d="M0 6H30"/></svg>{_number(style)}'
    )


def point_key(style: SeriesStyle) -> str:
    """A point in a legend."""
    return f'<svg class="key dot" viewBox="-6 -6 12 12">{point(style, 0, 0)}</svg>{_number(style)}'


def point(style: SeriesStyle, x: float, y: float, title: str = "") -> str:
    """A point of a series at (x, y); `title` is markup within it."""
    name = f"point c{style.colour}"
    if not style.pattern:
        return f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="3">{title}</circle>'
    return f'<path class="{name}" transform="translate({x:.1f} {y:.1f})" d="{SHAPES[style.pattern - 1]}">{title}</path>'


def _number(style: SeriesStyle) -> str:
    return f"<b>{style.number}</b> " if style.number else ""
