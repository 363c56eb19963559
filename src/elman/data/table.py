"""Tables in files: CSV, TSV, JSON lines (each also .gz or .zst) and Parquet, as columns of cells with their lines.

Cells are as they were written. Cells of CSV and TSV are strings, and no string stands for a missing value: NA, null
and an empty cell are texts until somebody asks for the `numbers` of a column. CSV is that of RFC 4180, separated by
the most frequent of `, ; | TAB` in its header; TSV has no quotes, so that a lone quotation mark is a character.
"""

from __future__ import annotations

import csv
import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.data.parquet import read_parquet
from elman.data.textfile import JSON_LINES, decode, decompress, json_value, lines, mended, open_binary, uncompressed
from elman.errors import UserError, nearest
from elman.wording import record_place, unit_of

SEPARATORS = ",;|\t"  # of CSV: of two that are equally frequent in the header the first counts
LONGEST_CELL = 1 << 26  # characters, so that a quotation mark that is never closed takes bounded memory
PARQUET = (".parquet", ".pq")
DELIMITED = (".csv", ".tsv")

Row = tuple[int, Sequence[Any]]  # its line, and its cells


@dataclass(frozen=True)
class DataTable:
    """Columns of equally many cells; `lines` are the rows' places in the file, from 1."""

    name: str
    columns: dict[str, list[Any]]
    lines: list[int] = field(repr=False)
    unit: str = "line"  # or "row", of a file without lines

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """The name of the file and the line of a row, for the beginning of an error."""
        return f"{self.name}, {self.unit} {self.lines[row]}"

    def column(self, name: str, remedy: str = "") -> list[Any]:
        """The cells of a column. Raises `UserError` where there is none of this name."""
        if name not in self.columns:
            got = ", ".join(map(repr, list(self.columns)[:8])) + (", …" if len(self.columns) > 8 else "")
            remedy = remedy or nearest(name, self.columns)
            raise UserError(f"{self.name}", expected=f"a column {name!r}", got=got, remedy=remedy)
        return self.columns[name]

    def texts(self, name: str) -> list[str]:
        """The cells of a column of strings. Raises `UserError` with the line of a cell that is none."""
        cells = self.column(name)
        for row, cell in enumerate(cells):
            if not isinstance(cell, str):
                raise UserError(f"{self.place(row)}, column {name!r}", expected="a string", got=reprlib.repr(cell))
        return cells

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """The cells of a column as numbers (N,), NaN where a cell is empty, null or NaN.

        Raises `UserError` with the line of a cell that is no finite number.
        """
        cells = self.column(name)
        if set(map(type, cells)) <= {str} and "_" not in "".join(cells):
            with suppress(ValueError):  # the cells are read one by one then, which finds the line
                values = np.array([float(cell) if cell else math.nan for cell in cells], np.float64)
                if not np.isinf(values).any():
                    return values
        return np.array([self.number(name, row) for row in range(len(cells))], np.float64)

    def number(self, name: str, row: int) -> float:
        """One cell as a number; see `numbers`."""
        cell = self.columns[name][row]
        value = number(cell)
        if value is None:
            remedy = "leave the cell empty where a value is missing"
            if isinstance(cell, str) and number(cell.replace(",", ".")) is not None:
                remedy = "write a decimal point, and nothing between thousands"
            where = f"{self.place(row)}, column {name!r}"
            raise UserError(where, expected="a number", got=reprlib.repr(cell), remedy=remedy)
        return value


def number(cell: Any) -> float | None:
    """A cell as a number: NaN where it is empty, null or NaN; None where it is no finite number.

    >>> number(" -1.5e3 "), number(""), number("inf"), number("1_000"), number(True)
    (-1500.0, nan, None, None, None)
    """
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return math.nan
    if isinstance(cell, bool) or not isinstance(cell, str | int | float) or (isinstance(cell, str) and "_" in cell):
        return None
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        return None
    return None if math.isinf(value) else value


def is_table(path: str | Path) -> bool:
    """Whether a file of this name is read as a table.

    >>> is_table("a.csv.gz"), is_table("a.parquet"), is_table("a.txt")
    (True, True, False)
    """
    return uncompressed(Path(path)).endswith((*DELIMITED, *JSON_LINES)) or Path(path).name.lower().endswith(PARQUET)


def read_table(path: str | Path) -> DataTable:
    """The table in a file of CSV, TSV, JSON lines or Parquet, by the ending of its name.

    Raises `UserError` where the file cannot be read, or is no such table; the message has the line.
    """
    path = Path(path)
    if path.name.lower().endswith(PARQUET):
        columns = read_parquet(path)
        _check_names([name for name, _ in columns], f"{path}")
        return _whole(
            DataTable(f"{path}", dict(columns), list(range(1, len(columns[0][1]) + 1 if columns else 1)), "row")
        )
    name = uncompressed(path)
    if not name.endswith((*DELIMITED, *JSON_LINES)):
        expected = f"a table: {', '.join((*DELIMITED, *JSON_LINES, *PARQUET))}"
        raise UserError(f"{path}", expected=expected, got=f"a file of the ending {path.suffix!r}", exit_code=2)
    with open_binary(path) as raw:
        texts = lines(decode(decompress(raw, path), path))
        if name.endswith(JSON_LINES):
            return table_of(_objects(texts, path), f"{path}", unit_of(path))
        return _delimited((_tsv if name.endswith(".tsv") else _csv)(texts, path), path)


def table_in_lines(texts: Sequence[str], name: str) -> DataTable:
    """The table in lines of CSV, or of JSON where the first of them begins with a brace. Errors as `read_table`."""
    path, first = Path(name), next(filter(str.strip, texts), "")
    if first.lstrip().startswith("{"):
        return table_of(_objects(texts, path), name)
    return _delimited(_csv(texts, path), path)


def table_of(records: Iterable[tuple[int, Mapping[str, Any]]], name: str, unit: str = "line") -> DataTable:
    """A table of records with their lines: a column for each key, with None where a record lacks the key."""
    columns, places = dict[str, list[Any]](), list[int]()
    for line, record in records:
        for key, cell in record.items():
            columns.setdefault(key, [None] * len(places)).append(cell)
        places.append(line)
        for cells in columns.values():
            if len(cells) < len(places):
                cells.append(None)
    return _whole(DataTable(name, columns, places, unit))


def _whole(table: DataTable) -> DataTable:
    if not table.lines:
        raise UserError(f"{table.name} holds no rows", remedy="give a table with at least one row below its header")
    return table


def _delimited(rows: Sequence[Row], path: Path) -> DataTable:
    """Rows below a header, all as wide as it."""
    line, header = rows[0] if rows else (1, [])
    names = [name.strip() for name in header]
    _check_names(names, f"{path}, line {line}")
    width = "1 column" if len(names) == 1 else f"{len(names)} columns"
    quoted = "quote a cell that holds the separator"
    remedy = "separate the cells by tabs, which no cell may hold" if uncompressed(path).endswith(".tsv") else quoted
    for line, row in rows:
        if len(row) != len(names):
            raise UserError(f"{path}, line {line}", expected=f"{width} as in the header", got=len(row), remedy=remedy)
    cells = zip(*(row for _, row in rows[1:]), strict=True) if len(rows) > 1 else ()
    columns = {name: list(column) for name, column in zip(names, cells, strict=False)}
    return _whole(DataTable(f"{path}", columns, [line for line, _ in rows[1:]]))


def _check_names(names: Sequence[str], where: str) -> None:
    for at, name in enumerate(names):
        if name in names[:at]:
            remedy = "give each column a name of its own"
            raise UserError(where, expected="different names of columns", got=f"{name!r} twice", remedy=remedy)


def _tsv(texts: Iterable[str], path: Path) -> list[Row]:
    return [(number, line.split("\t")) for number, line in enumerate(texts, 1) if line.strip(" ")]


def _csv(texts: Iterable[str], path: Path) -> list[Row]:
    """Rows with the lines on which they begin; blank lines are left out."""
    whole = [line + "\n" for line in texts]
    header = "".join(next(filter(str.strip, whole), "").split('"')[::2])  # what is outside of quotes
    reader = csv.reader(whole, delimiter=max(SEPARATORS, key=header.count), strict=True)
    rows, line = list[Row](), 1
    usual = csv.field_size_limit(LONGEST_CELL)
    try:
        for row in reader:
            if len(row) > 1 or "".join(row).strip():
                rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        remedy = "close each quotation mark, and double those within a quoted cell"
        raise UserError(f"{path}, line {line}: not CSV ({error})", remedy=remedy) from None
    finally:
        csv.field_size_limit(usual)
    return rows


def _objects(texts: Iterable[str], path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of JSON lines; blank lines are left out."""
    for number, line in enumerate(texts, 1):
        if line.strip():
            where = record_place(path, number)
            try:
                record = json_value(line, object_pairs_hook=_object)
            except ValueError as error:
                raise UserError(f"{where}: not JSON ({error})") from None
            if not isinstance(record, dict):
                raise UserError(where, expected="an object", got=reprlib.repr(record))
            yield number, record


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = {mended(key): _mended(value) for key, value in pairs}
    if len(made) < len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} twice")
    return made


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return mended(value)
    return [_mended(each) for each in value] if isinstance(value, list) else value
