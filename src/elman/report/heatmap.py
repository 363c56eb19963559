"""Heatmaps: a matrix as a small picture inside a chart, readable in the light and in the dark."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from elman.report.axes import svg, text
from elman.report.chart import Chart, Half, finite, largest
from elman.report.figure import Figure, Table
from elman.report.names import LETTER, below, longest, written

COLUMN, ROW = 9.4, 12.0  # the least room that a name takes along a side, across its letters
SMALL, LARGE = 9.5, 11.5  # pixels, of its letters
NARROW, WIDE, TOP, RIGHT = 480, 980, 26, 16
LEVELS = 127  # on either side of zero
POSITIVE, NEGATIVE = (214, 96, 32), (46, 116, 196)  # orange and blue, which the colour-blind tell apart


def heatmap(
    values: npt.NDArray[np.floating],
    *,
    title: str,
    reading: str,
    x: str,
    y: str,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    limit: float | None = None,
    orders: Mapping[str, Sequence[int] | npt.NDArray[np.int64]] | None = None,
    wide: bool = False,
    link: str = "",
) -> Figure:
    """A matrix (R, C), row 0 at the top: orange above zero, blue below, paper at zero, a cross at what is no number.

    `limit` is the value of full colour (None: the largest there is). `rows` and `columns` name what is along the
    sides: every name is written, all are turned where one is too long for its column, and the figure grows until they
    all have room. Where there are no names, some numbers are written. `orders` are orders of the rows, by name, of
    which one can choose another than the given one.

    >>> states = np.array([[0.0, 0.5, 1.0], [0.0, -0.5, -1.0]])
    >>> figure = heatmap(states, title="States", reading="Orange is above 0.", x="step", y="unit", columns="cat")
    >>> figure.table.rows
    [['0', 0.0, 0.5, 1.0], ['1', 0.0, -0.5, -1.0]]
    """
    R, C = values.shape
    full = largest(values) if limit is None else limit
    beside, named = _names(rows, R, 330 / ROW), _names(columns, C, 400 / (LARGE * LETTER * (1 + len(str(C)))))
    left = max(58.0, longest(beside.values(), LARGE) + 12)
    least = left + RIGHT + (C * COLUMN if columns else 0.0)
    wide = wide or least > NARROW
    width = max(float(WIDE if wide else NARROW), least)
    inner = width - left - RIGHT
    height = max(120.0, min(inner * R / C, 330.0 if wide else inner), R * ROW if rows else 0.0)
    size = min(LARGE, max(SMALL, inner / C - 1))
    foot = TOP + height
    middles = [left + inner * (index + 0.5) / C for index in range(C)]
    under, room = below(named, middles, foot, inner / C if columns else math.inf, size)
    parts = [
        f'<image x="{left:g}" y="{TOP}" width="{inner:g}" height="{height:g}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{base64.b64encode(picture(values, full)).decode()}"/>',
        f'<rect class="box" x="{left:g}" y="{TOP}" width="{inner:g}" height="{height:g}"/>',
        _crosses(values, left, inner / C, height / R),
        text("label", 4, 14, y),
        text("label", left + inner / 2, foot + room + 16, x, "middle"),
    ]
    for index, name in beside.items():
        parts.append(written(name, LARGE, left - 5, TOP + height * (index + 0.5) / R + 4, "end"))
    drawing = svg("".join([*parts, under]), width, foot + room + 24, title, least=width)
    data = {"x": x, "y": y, "rows": list(rows or ()), "columns": list(columns or ()), "full": full}
    data |= {"values": Half(values), "orders": {name: [*map(int, order)] for name, order in (orders or {}).items()}}
    rows, columns = rows or [*map(str, range(R))], columns or [*map(str, range(C))]
    table = Table(["", *columns], [[rows[r], *values[r].tolist()] for r in range(R)])
    return Figure(title, drawing, reading, table, (), wide, Chart("heat", data), link)


def _crosses(values: npt.NDArray[np.floating], left: float, width: float, height: float) -> str:
    """Crosses in the cells without a finite number, which have no colour, as zero has none."""
    arm = min(width, height) / 4
    lines = "".join(
        f"M{left + (column + 0.5) * width - arm:.4g},{TOP + (row + 0.5) * height - side:.4g}"
        f"l{2 * arm:.3g},{2 * side:.3g}"
        for row, column in np.argwhere(~np.isfinite(values)).tolist()
        for side in (-arm, arm)
    )
    return f'<path class="axis" d="{lines}"/>' if lines else ""


def picture(values: npt.NDArray[np.floating], full: float) -> bytes:
    """A matrix as a PNG of a pixel a number, with a palette whose transparency is the value's size."""
    R, C = values.shape
    scaled = finite(values) / (full or 1.0)
    index = np.rint(np.clip(scaled, -1, 1) * LEVELS).astype(np.int64) + LEVELS  # 0 ... 254
    lines = np.zeros((R, C + 1), np.uint8)  # every line begins with its filter: none
    lines[:, 1:] = index
    colours = bytes(
        channel for level in range(2 * LEVELS + 1) for channel in (NEGATIVE if level < LEVELS else POSITIVE)
    )
    alpha = bytes(round(255 * abs(level - LEVELS) / LEVELS) for level in range(2 * LEVELS + 1))
    header = struct.pack(">IIBBBBB", C, R, 8, 3, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", colours), (b"tRNS", alpha)]
    chunks += [(b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _names(given: Sequence[str] | None, count: int, most: float) -> dict[int, str]:
    """The names along a side: all that are given, or not more than `most` of the numbers."""
    if given:
        return dict(enumerate(given))
    return {index: str(index) for index in range(0, count, max(1, int(np.ceil(count / most))))}
