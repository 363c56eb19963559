"""Axes: scales, ticks and the frame of a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from elman.report.figure import number
from elman.report.names import below

HUGE = 1e280  # values beyond this, or below its inverse, are drawn at it
POWERS = 1e5  # a logarithmic axis that is longer has powers of ten for its numbers
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 34, 46  # margins of a frame
LETTER_ROOM, NAME = 9.4, 11.5  # the least room that a name at the x axis takes, and the size of its letters


@dataclass(frozen=True)
class Scale:
    """From values in [low, high] to positions in [start, stop], linearly or by the logarithm."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Positions; values beyond the ends are put at the ends."""
        low, high = self.low, self.high
        clipped = np.clip(np.asarray(values, np.float64), low, high)
        if self.log:
            clipped, low, high = np.log10(clipped), math.log10(low), math.log10(high)
        return self.start + (clipped - low) / (high - low) * (self.stop - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values on the axis."""
        return log_ticks(self.low, self.high, most) if self.log else ticks(self.low, self.high, most)

    def name(self, value: float) -> str:
        """A tick's number, as SVG text: on a long logarithmic axis as a power of ten."""
        if self.log and self.high / self.low > POWERS:
            return f'10<tspan class="power" dy="-5">{round(math.log10(value))}</tspan>'
        if abs(value) >= 10_000:
            return f"{value / 1e6:g}M" if abs(value) >= 1e6 else f"{value / 1e3:g}k"
        return f"{value:g}" if abs(value) < 1000 else number(value)


def span(values: Sequence[npt.ArrayLike], *, log: bool = False, zero: bool = False) -> tuple[float, float]:
    """The least interval with round ends that holds all finite values (with `log`: all positive ones).

    >>> span([[0.13, 0.97]], zero=True), span([[0.02, 40]], log=True)
    ((0.0, 1.0), (0.01, 100.0))
    """
    every = drawable(values, log)
    if not len(every):
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = (float(np.clip(end, -HUGE, HUGE)) for end in (every.min(), every.max()))
    if log:
        low, high = max(low, 1 / HUGE), max(high, 1 / HUGE)
        low, high = 10.0 ** math.floor(math.log10(low) + 1e-9), 10.0 ** math.ceil(math.log10(high) - 1e-9)
        return (low, high) if low < high else (low / 10, high)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    size = max(abs(low), abs(high))
    if high - low <= max(1e-9 * size, 1 / HUGE):  # as good as one number
        low, high = low - max(0.5, size / 10), high + max(0.5, size / 10)
    step = _step(low, high, 6)
    return _tidy(math.floor(low / step + 1e-9) * step), _tidy(math.ceil(high / step - 1e-9) * step)


def drawable(values: Sequence[npt.ArrayLike], log: bool) -> npt.NDArray[np.float64]:
    """All values that an axis can show, as one array."""
    every = np.concatenate([np.asarray(part, np.float64).ravel() for part in values] or [np.zeros(0)])
    return every[np.isfinite(every) & ((every > 0) | (not log))]


def _tidy(value: float) -> float:
    """Without the digits that a float's rounding has left."""
    return float(f"{value:.12g}")


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high].

    >>> ticks(0, 1), ticks(0, 255)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 50.0, 100.0, 150.0, 200.0, 250.0])
    """
    step = _step(low, high, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [_tidy(index * step) for index in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Powers of ten within [low, high], not all of them where they are many.

    >>> log_ticks(0.01, 100)
    [0.01, 0.1, 1.0, 10.0, 100.0]
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    stride = max(1, math.ceil((last - first) / most))
    return [10.0**power for power in range(last, first - 1, -stride)][::-1]


def _step(low: float, high: float, most: int) -> float:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


@dataclass(frozen=True)
class Frame:
    """The axes of a chart with their labels; labels and ticks stand in a margin around them."""

    x: Scale
    y: Scale
    x_label: str
    y_label: str
    names: Sequence[str] = ()  # of x = 0, 1, …: words in place of numbers

    def draw(self, content: Sequence[str], title: str) -> str:
        """The whole drawing: grid lines, ticks and labels below its content."""
        left, right, foot, top = self.x.start, self.x.stop, self.y.start, self.y.stop
        width, height = right + RIGHT, foot + BOTTOM
        parts = []
        for value, y in zip(self.y.ticks(5), self.y(self.y.ticks(5)), strict=True):
            parts.append(f'<path class="grid" d="M{left:g} {y:.1f}H{right:g}"/>')
            parts.append(text("tick", left - 7, y + 4, self.y.name(value), "end", markup=True))
        if self.names:
            places, room = self.x(np.arange(len(self.names))).tolist(), (right - left) / len(self.names)
            under, reach = below(dict(enumerate(self.names)), places, foot + 4, room, min(NAME, max(9.5, room - 1)))
            parts.append(under)
            height += reach - 18
        for value, x in zip(self.x.ticks(), self.x(self.x.ticks()), strict=True):
            if not self.names:
                parts.append(f'<path class="grid" d="M{x:.1f} {top:g}V{foot:g}"/>')
                parts.append(text("tick", x, foot + 18, self.x.name(value), "middle", markup=True))
        parts.append(f'<path class="axis" d="M{left:g} {foot:g}H{right:g}"/>')
        parts.append(text("label", (left + right) / 2, height - 6, self.x_label, "middle"))
        parts.append(text("label", 4, 14, self.y_label))
        return svg("".join([*parts, *content]), width, height, title, least=width if self.names else 0)


def text(kind: str, x: float, y: float, words: str, anchor: str = "start", *, markup: bool = False) -> str:
    """Words of a kind that the style sheet knows, at (x, y); they are escaped unless they are `markup`."""
    shown = words if markup else escape(words)
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown}</text>'


def dotted(x: float, top: float, foot: float, words: str, y: float, *, left: bool) -> tuple[str, str]:
    """A dotted vertical line, and words beside it at the height y, on its left or on its right."""
    beside = text("note", x + (-5 if left else 5), y, words, "end" if left else "start")
    return f'<path class="mark" d="M{x:.1f} {top:g}V{foot:g}"/>', beside


def svg(content: str, width: float, height: float, title: str, *, least: float = 0) -> str:
    """The drawing around its content; a page that is narrower than `least` scrolls the drawing."""
    style = f' style="min-width:{least:g}px"' if least else ""
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}"{style}>{content}</svg>'


def interval(x: float, low: float, high: float, colour: int, *, across: bool = False) -> str:
    """An error bar at a place, from one position to another; `across`: along the x axis, and x is a height."""
    ends = f"M{low:.1f} {x - 4:.1f}v8M{high:.1f} {x - 4:.1f}v8M{low:.1f} {x:.1f}H{high:.1f}"
    if not across:
        ends = f"M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8M{x:.1f} {low:.1f}V{high:.1f}"
    return f'<path class="interval c{colour}" d="{ends}"/>'
