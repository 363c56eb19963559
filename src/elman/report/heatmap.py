"""Heatmaps: a matrix as a small picture inside a chart, readable in the light and in the dark."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from elman.report.axes import svg
from elman.report.figure import Figure, Table

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
    wide: bool = False,
) -> Figure:
    """A matrix (R, C), row 0 at the top: orange above zero, blue below, the page's colour at zero.

    `limit` is the value of full colour (None: the largest there is). `rows` and `columns` name what is along the
    sides; names are written where there is room for them.
    """
    R, C = values.shape
    full = float(np.nanmax(np.abs(values), initial=0.0)) if limit is None else limit
    width = 980 if wide else 480
    left, top, right, bottom = 58, 26, 16, 44
    inner = width - left - right
    height = max(120.0, min(inner * R / C, 330.0 if wide else inner))
    parts = [
        f'<image x="{left}" y="{top}" width="{inner}" height="{height:g}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{base64.b64encode(picture(values, full)).decode()}"/>',
        f'<rect class="box" x="{left}" y="{top}" width="{inner}" height="{height:g}"/>',
        f'<text class="label" x="4" y="14">{escape(y)}</text>',
        f'<text class="label" x="{left + inner / 2:g}" y="{top + height + 38:g}" text-anchor="middle">'
        f"{escape(x)}</text>",
    ]
    for index in _spread(R, height, 15):
        name = rows[index] if rows else str(index)
        at = top + height * (index + 0.5) / R + 4
        parts.append(f'<text class="tick" x="{left - 6}" y="{at:.1f}" text-anchor="end">{escape(name)}</text>')
    for index in _spread(C, inner, 9 if columns else 40):
        name = columns[index] if columns else str(index)
        at = left + inner * (index + 0.5) / C
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{top + height + 16:.1f}" text-anchor="middle">{escape(name)}</text>'
        )
    headings = ["", *(columns or map(str, range(C)))]
    table = Table(headings, [[rows[r] if rows else str(r), *map(_short, values[r].tolist())] for r in range(R)])
    return Figure(title, svg("".join(parts), width, top + height + bottom, title), reading, table, (), wide)


def picture(values: npt.NDArray[np.floating], full: float) -> bytes:
    """A matrix as a PNG of a pixel a number, with a palette whose transparency is the value's size."""
    R, C = values.shape
    scaled = np.nan_to_num(values / full if full > 0 else np.zeros_like(values))
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


def _spread(count: int, length: float, room: float) -> range:
    """Which of `count` names along a side can be written, `room` apart at least."""
    stride = max(1, int(np.ceil(count * room / length)))
    return range(0, count, stride)


def _short(value: float) -> float:
    return float(f"{value:.3g}")
