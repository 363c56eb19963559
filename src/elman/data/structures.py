"""Structures of data by their beginning: tagged tokens, labelled texts or series, tables of series.

Each function returns what speaks for a structure, in words, or None. Only the first lines are read.
"""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from elman.data.recognition import BEGINNING, DATE, NUMBER, ROWS, SEPARATORS, beginning, recognise
from elman.data.sources import NAMED_LABELLED, NAMED_SERIES, NAMED_TAGGED
from elman.data.textfile import JSON_LINES, uncompressed

TIME = re.compile(r"\d{4}-\d{1,2}(-\d{1,2})?([ T]\d{1,2}(:\d{2}){0,2}([.,]\d+)?( ?(Z|[-+]\d{2}:?\d{2}))?)?")  # ISO
TIMES = ("ds", "date", "time", "datetime", "timestamp", "year", "month", "week", "day", "hour", "step", "t")
"""Usual names of a column of times, which may then be whole numbers."""
LONG = ("unique_id", "ds", "y")  # the columns of many series in one table
SENTENCES = "sentences of tagged tokens"
Sources = Sequence[str | Path]


class Head(NamedTuple):
    """The first rows of a table."""

    names: list[str]  # of its columns
    rows: list[list[Any]]

    def column(self, name: str) -> list[Any]:
        """The values of a column."""
        return [row[self.names.index(name)] for row in self.rows]


def tagged_tokens(data: Sources) -> str | None:
    """What speaks for tokens with a tag each: CoNLL, JSON lines of tokens and tags, or two files in step."""
    if len(data) == 2:
        return _in_step(*map(Path, data))
    if len(data) != 1 or str(data[0]) in NAMED_TAGGED:
        return f"{data[0]} is a named source of tagged tokens" if len(data) == 1 else None
    if (path := _file(data[0])) is None:
        return None
    words = recognise(path.name, beginning(path)) or ""
    if words.startswith(SENTENCES):
        return f"{data[0]} looks like {words}"
    return _has(data[0], path, "tokens", "tags")


def labelled(data: Sources) -> str | None:
    """What speaks for texts or series with a label each."""
    if len(data) == 2:
        return series_and_labels(data) or _texts_and_labels(*map(Path, data))
    if len(data) != 1 or str(data[0]) in NAMED_LABELLED:
        return f"{data[0]} is a named source of labelled examples" if len(data) == 1 else None
    if Path(data[0]).is_dir():
        return _folder_of_labels(Path(data[0]))
    if (path := _file(data[0])) is None:
        return None
    begin = beginning(path)
    if (recognise(path.name, begin) or "").endswith("(.ts)"):
        return None if b"@classlabel false" in begin.lower() else f"{data[0]} holds series with their labels (.ts)"
    if path.suffix.lower() == ".npz" and begin.startswith(b"PK"):
        return f"{data[0]} holds the arrays x and y" if {"x.npy", "y.npy"} <= set(_members(path)) else None
    return _has(data[0], path, "text", "label") or _has(data[0], path, "values", "label")


def series_table(data: Sources) -> str | None:
    """What speaks for series to forecast: the columns unique_id, ds and y, or times beside columns of numbers."""
    if len(data) != 1 or str(data[0]) in NAMED_SERIES:
        return f"{data[0]} is a named source of series" if len(data) == 1 else None
    path = _file(data[0])
    head = None if path is None else read_head(path)
    if head is None or not head.rows:
        return None
    if set(LONG) <= set(head.names):
        return f"{data[0]} has the columns {_words(LONG)}"
    times, *values = head.names
    if not values or not are_times(times, head.column(times)) or not all(map(_are_numbers, map(head.column, values))):
        return None
    return f"{data[0]} has times in {times}, and numbers in {_words(values)}"


def series_and_labels(data: Sources) -> str | None:
    """What speaks for a long table of series, and a table with the label of each of their ids."""
    series, labels = (None if path is None else read_head(path) for path in map(_file, data[:2]))
    if len(data) != 2 or not series or not labels or len(series.names) < 3:
        return None
    key = series.names[0]
    return f"{data[1]} has a label for each {key} of {data[0]}" if labels.names == [key, "label"] else None


def lacks_key(place: str | Path, key: str) -> bool:
    """Whether a place is a file of JSON lines that do not begin with a record that has a key."""
    path = _file(place)
    if path is None or not uncompressed(path).endswith(JSON_LINES):
        return False
    head = read_head(path)
    return head is not None and key not in head.names


def read_head(path: Path) -> Head | None:
    """The first rows of a file that is a table; None for other files. Raises `UserError` where it cannot be read."""
    begin = beginning(path)
    if begin.startswith(b"PAR1"):
        return _parquet(path)
    lines = begin.decode("utf-8-sig", "ignore").replace("\r\n", "\n").split("\n")
    lines, cut = [line for line in lines if line.strip()], len(begin) == BEGINNING
    if uncompressed(path).endswith(JSON_LINES):
        return _json_lines(lines[:ROWS])
    found = [_separated(lines, separator, cut, uncompressed(path)[-4:]) for separator in SEPARATORS]
    return max(filter(None, found), key=lambda head: len(head.names), default=None)


def _separated(lines: Sequence[str], separator: str, cut: bool, ending: str) -> Head | None:
    """Rows of as many cells as the first has names, except for a last one that is `cut`.

    A file with the ending of a table is one whatever its rows are: its reader names a row that does not fit.
    """
    quoting: Literal[0, 3] = csv.QUOTE_NONE if ending == ".tsv" else csv.QUOTE_MINIMAL
    with suppress(csv.Error):
        rows = list(csv.reader((line + "\n" for line in lines), delimiter=separator, quoting=quoting))
        header, *rows = rows[:-1] if cut and len(rows) > 1 else rows or [[]]
        names, fitting = [name.strip() for name in header], [row for row in rows if len(row) == len(header)]
        whole = len(fitting) == len(rows) or ending in (".csv", ".tsv")
        if len(names) > 1 and len({*names, ""}) > len(names) and whole:
            return Head(names, fitting[:ROWS])
    return None


def _json_lines(lines: Sequence[str]) -> Head | None:
    records = []
    for line in lines:
        with suppress(ValueError, RecursionError):  # the reader of the file reports a line that is no JSON
            records.append(json.loads(line))
    if not records or not all(isinstance(record, dict) for record in records):
        return None
    names = list(records[0])
    return Head(names, [[record.get(name) for name in names] for record in records]) if names else None


def _parquet(path: Path) -> Head:
    from elman.data.parquet import read_parquet

    columns = read_parquet(path, ROWS)
    rows = zip(*(cells for _, cells in columns), strict=True)
    return Head([name for name, _ in columns], list(map(list, rows)))


def _file(place: str | Path) -> Path | None:
    """The path of a file that is there."""
    path = Path(place)
    with suppress(OSError, ValueError):  # the system's refusal is reported by whoever reads the file
        return path if path.is_file() else None
    return None


def _has(place: str | Path, path: Path, *columns: str) -> str | None:
    head = read_head(path)
    return f"{place} has the columns {_words(columns)}" if head and {*columns} <= {*head.names} else None


def are_times(name: str, values: Sequence[Any]) -> bool:
    """Whether the values of a column are different times; whole numbers are, where the name of the column says so."""
    words = [str(value).strip() for value in values[:ROWS]]
    numbered = name.strip().lower() in TIMES and all(re.fullmatch(r"-?\d+", word) for word in words)
    return len(set(words)) == len(words) and (
        numbered or all(TIME.fullmatch(word) or DATE.fullmatch(word) for word in words)
    )


def _are_numbers(values: Sequence[Any]) -> bool:
    """Whether some values are numbers, and all others missing."""
    words = ["" if value is None else str(value).strip() for value in values]
    return any(words) and all(NUMBER.fullmatch(word) for word in words)


def _texts_and_labels(texts: Path, labels: Path) -> str | None:
    """Two files line by line, of which the second has few different lines."""
    said = _lines(texts), _lines(labels)
    different = len(set(said[1]))
    if min(map(len, said)) < 4 or not 1 < different <= len(said[1]) / 2:
        return None
    return f"{labels} has {different} different lines, which may be the labels of those of {texts}"


def _in_step(tokens: Path, tags: Path) -> str | None:
    """Two files of as many words a line, of which the second has few different words."""
    lines = list(zip(*([line.split() for line in _lines(path)] for path in (tokens, tags)), strict=False))
    words, marks = ({word for line in lines for word in line[side]} for side in (0, 1))
    if len(lines) < 2 or any(len(line) != len(other) for line, other in lines) or not len(marks) < len(words):
        return None
    return f"{tags} has as many words in each line as {tokens}"


def _lines(path: Path) -> list[str]:
    """The first whole lines of a file of text; none where it is none."""
    if (file := _file(path)) is None:
        return []
    begin = beginning(file)
    return begin.decode(errors="replace").split("\n")[:-1][:ROWS] if 0 not in begin else []


def _folder_of_labels(folder: Path) -> str | None:
    """Folders alone, each with texts alone."""
    inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    if len(inside) < 2 or not all(path.is_dir() for path in inside):
        return None
    for label in inside:
        texts = [path for path in islice(label.iterdir(), ROWS) if not path.name.startswith(".")]
        if len(texts) < 2 or not all(path.suffix in ("", ".txt") and path.is_file() for path in texts):
            return None
    return f"{folder} holds {len(inside)} folders of texts, such as {inside[0].name}"


def _members(path: Path) -> list[str]:
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        return archive.namelist()
    return []


def _words(names: Sequence[str]) -> str:
    """Names in a row.

    >>> _words(["a", "b", "c"]), _words(list("abcdefgh"))
    ('a, b and c', 'a, b, c and 5 more')
    """
    names = list(names) if len(names) < 5 else [*names[:3], f"{len(names) - 3} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
