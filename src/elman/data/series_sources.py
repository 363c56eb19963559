"""Tables of time series: files, and the series that statsmodels ships, by their names."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from elman.data.sources import NAMED_SERIES
from elman.data.table import DataTable, is_table, read_table, table_of
from elman.errors import UserError, missing_extra, nearest

SUNSPOTS, CO2 = NAMED_SERIES


def check_series(place: str | Path) -> None:
    """See that there is a file or a named source of this name, without reading it. Raises `UserError`."""
    if str(place) in NAMED_SERIES:
        if find_spec("statsmodels") is None:
            raise missing_extra("statsmodels", "series", "the sunspots and CO2 series")
    elif not Path(place).exists():
        remedy = nearest(str(place), NAMED_SERIES)
        raise UserError(f"no such file or named source of series: {place}", remedy=remedy, exit_code=2)
    elif not is_table(place):
        raise UserError(f"{place}", expected="a table: .csv, .tsv, .jsonl or .parquet", got="another file", exit_code=2)


def series_table(place: str | Path) -> DataTable:
    """The table in a file or of a named source. Raises `UserError` where there is neither."""
    check_series(place)
    return _named(str(place)) if str(place) in NAMED_SERIES else read_table(place)


def _named(name: str) -> DataTable:
    """Yearly numbers of sunspots from 1700 to 2008; weekly CO2 in the air of Mauna Loa, in ppm, from 1958 to 2001."""
    from statsmodels.datasets import co2, sunspots

    if name == SUNSPOTS:
        frame = sunspots.load_pandas().data
        times, values = [int(year) for year in frame["YEAR"]], frame["SUNACTIVITY"]
    else:
        frame = co2.load_pandas().data
        times, values = [time.date().isoformat() for time in frame.index], frame["co2"]
    rows = zip(times, (None if value != value else float(value) for value in values), strict=True)
    records = ({"unique_id": name, "ds": time, "y": value} for time, value in rows)
    return table_of(enumerate(records, 1), name, "row")
