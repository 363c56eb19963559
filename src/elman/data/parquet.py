"""The columns of a Parquet file as plain Python values."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from elman.data.textfile import open_binary
from elman.errors import UserError, missing_extra

PANDAS_INDEX = "__index_level_"  # begins the name of the column that pandas adds for an index without a name


def read_parquet(path: Path, rows: int | None = None) -> list[tuple[str, list[Any]]]:
    """Each column's name and cells, of the first `rows` or of all: Python's own values, times as strings in ISO 8601.

    Raises `UserError` where the file is damaged, times are finer than Python's own, or pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise missing_extra("pyarrow", "tables", "Parquet files") from None
    with open_binary(path) as raw:
        try:
            file = parquet.ParquetFile(raw)
            batches = None if rows is None else islice(file.iter_batches(rows), 1)
            table = file.read() if batches is None else pa.Table.from_batches(batches, file.schema_arrow)
            columns = list(zip(table.column_names, table.columns, strict=True))
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names that are not UTF-8
            raise UserError(f"{path} is damaged or no Parquet file ({_reason(error)})") from None
    return [(name, _cells(column, name, path)) for name, column in columns if not name.startswith(PANDAS_INDEX)]


def _cells(column: Any, name: str, path: Path) -> list[Any]:
    import pyarrow as pa

    try:
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python's own times have microseconds
            column = column.cast(pa.timestamp("us", column.type.tz))
        return list(map(_plain, column.to_pylist()))
    except ValueError as error:  # pyarrow's own are among them
        got = f"{column.type} ({_reason(error)})"
        raise UserError(f"{path}, column {name!r}", expected="strings, numbers or times", got=got) from None


def _plain(cell: Any) -> Any:
    if isinstance(cell, list):
        return [_plain(each) for each in cell]
    if isinstance(cell, date | time):  # a datetime is a date
        return cell.isoformat()
    return float(cell) if isinstance(cell, Decimal) else cell


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
