"""Small panels of series."""

from __future__ import annotations

from elman.data.panel import Panel, read_panel
from elman.data.series_columns import SeriesColumns
from elman.data.table import table_of

Series = list[float | None]
VALUES_ALONE = SeriesColumns(past=(), static=())


def panel_of(*series: Series, columns: SeriesColumns = VALUES_ALONE) -> Panel:
    """A panel of the series s0, s1, …, with further columns that `columns` may name: price, size and shop."""
    records = [
        {"unique_id": f"s{n}", "ds": step, "y": value, "price": 10 * n + step, "size": n, "shop": "xy"[n % 2]}
        for n, values in enumerate(series)
        for step, value in enumerate(values)
    ]
    return read_panel(table_of(enumerate(records, 1), "rows"), columns)


def ramp(length: int, slope: float = 1.0) -> Series:
    """0, slope, 2 slope, …"""
    return [slope * step for step in range(length)]
