"""Readers of labelled examples.

one file     a table with columns of texts (or of values, in JSON lines and Parquet) and labels; .ts; .npz
two files    texts and labels, line by line; or tables: id, time, values beside id, label
a folder     with a folder of texts for each label
digits       scikit-learn's pictures of digits, each a series of eight rows
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.labelled import LabelColumns, Labelled, Part, series_of
from elman.data.long_tables import read_long, read_steps, renamed
from elman.data.pairs import PairSource, open_pairs
from elman.data.sources import NAMED_LABELLED
from elman.data.table import DataTable, is_table, read_table
from elman.data.textfile import decode, decompress, lines, open_binary, uncompressed
from elman.data.timeseries import read_ts
from elman.errors import UserError, nearest

FORMS = (
    "a table (.csv, .tsv, .jsonl, .parquet), .ts, .npz, a folder for each label, or texts and a file of their labels"
)
DEFAULT = LabelColumns()
ARRAYS = {
    "train": (("x", "y"), ("X", "y"), ("x_train", "y_train"), ("X_train", "y_train")),
    "test": (("x_test", "y_test"), ("X_test", "y_test"), ("x", "y"), ("X", "y")),
}


def read_labelled(files: Sequence[str | Path], columns: LabelColumns = DEFAULT, part: Part = "train") -> Labelled:
    """The examples of files; of a source with a part for testing, those of one part.

    Raises `UserError` with file and line where they cannot be read, or are malformed.
    """
    paths = check_places(files)
    if not paths:
        from elman.data.digits import read_digits

        return read_digits(part)
    return _two(paths[0], paths[1], columns) if len(paths) == 2 else _one(paths[0], columns, part)


def read_inputs(path: Path, columns: LabelColumns = DEFAULT) -> Labelled:
    """The examples of a file that may lack labels; of a file of another ending, each line is a text."""
    check_places([path])
    if is_table(path):
        table = read_table(path)
        if columns.text in table.columns or columns.values in table.columns:
            return _table(table, columns)
        if {columns.id_column, columns.time_column} <= {*table.columns}:
            series = read_steps(table, columns)
            inputs, places = zip(*series.values(), strict=True)
            return Labelled(table.name, list(inputs), None, list(places), ids=list(series))
        raise _neither(table, columns)
    if not is_plain(path):
        return _one(path, columns, "test")
    with open_binary(path) as raw:
        texts = list(lines(decode(decompress(raw, path), path)))
    return Labelled(f"{path}", texts, None, [f"{path}, line {number}" for number in range(1, len(texts) + 1)])


def is_plain(path: Path) -> bool:
    """Whether a file is read as plain text, each of whose lines is one."""
    return not (is_table(path) or path.is_dir() or uncompressed(path).endswith((".ts", ".npz")))


def check_places(files: Sequence[str | Path]) -> list[Path]:
    """The paths of files that are there; none for the named source. Raises `UserError` for others."""
    if not 1 <= len(files) <= 2:
        got = " and ".join(map(str, files)) or "none"
        raise UserError("DATA", expected="one file of labelled examples, or two", got=got, exit_code=2)
    if any(str(file) in NAMED_LABELLED for file in files):
        if len(files) > 1:
            raise UserError(f"{NAMED_LABELLED[0]} has labels of its own", remedy="give it alone", exit_code=2)
        return []
    paths = [Path(file) for file in files]
    for path in paths:
        try:
            there, folder = path.exists(), path.is_dir()
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}", exit_code=2) from error
        if not there:
            remedy = nearest(str(path), NAMED_LABELLED)
            raise UserError(f"no such file or named source: {path}", remedy=remedy, exit_code=2)
        if folder and len(paths) > 1:
            raise UserError(str(path), expected="a file", got="a folder", exit_code=2)
    return paths


def _one(path: Path, columns: LabelColumns, part: Part) -> Labelled:
    if path.is_dir():
        return _folder(path)
    if is_table(path):
        return _table(read_table(path), columns)
    if uncompressed(path).endswith(".ts"):
        found = read_ts(path)
        places = [f"{path}, line {line}" for line in found.lines]
        return Labelled(f"{path}", list(found.series), found.labels, places, found.numeric)
    if path.name.lower().endswith(".npz"):
        return _arrays(path, part)
    remedy = "give a second file with a label on each line"
    raise UserError(f"{path}", expected=FORMS, got=f"a file of the ending {path.suffix!r}", remedy=remedy, exit_code=2)


def _two(first: Path, second: Path, columns: LabelColumns) -> Labelled:
    if is_table(first) and is_table(second):
        return read_long(first, second, columns)
    source = open_pairs([first, second])
    assert isinstance(source, PairSource)
    # A line that is empty in both files ends them, or stands between examples.
    pairs = [pair for pair in source.read() if pair.source.strip() or pair.target.strip()]
    places = [f"{second}, line {pair.line}" for pair in pairs]
    return Labelled(source.name, [pair.source for pair in pairs], [pair.target for pair in pairs], places)


def _table(table: DataTable, columns: LabelColumns) -> Labelled:
    labels = table.columns.get(columns.label)
    places = [table.place(row) for row in range(len(table))]
    if labels is None and columns.label != DEFAULT.label:
        table.column(columns.label)  # a name that somebody gave must be there
    if columns.text in table.columns:
        return Labelled(table.name, table.texts(columns.text), labels, places)
    if columns.values not in table.columns:
        raise _neither(table, columns)
    cells = zip(table.columns[columns.values], places, strict=True)
    return Labelled(
        table.name, [series_of(cell, f"{place}, {columns.values!r}") for cell, place in cells], labels, places
    )


def _neither(table: DataTable, columns: LabelColumns) -> UserError:
    expected = f"a column {columns.text!r} of texts, or {columns.values!r} of series"
    got = ", ".join(map(repr, list(table.columns)[:8]))
    return UserError(table.name, expected=expected, got=got, remedy=renamed("text"))


def _folder(folder: Path) -> Labelled:
    texts, labels, places = list[str](), list[str](), list[str]()
    for label in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        if not label.is_dir():
            raise UserError(
                f"{folder}", expected="a folder for each label", got=f"the file {label.name}", remedy="move it away"
            )
        for path in sorted(label.rglob("*")):
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(label).parts):
                with open_binary(path) as raw:
                    texts.append("".join(decode(decompress(raw, path), path)))
                labels.append(label.name)
                places.append(f"{path}")
    return Labelled(f"{folder}", texts, labels, places)


def _arrays(path: Path, part: Part) -> Labelled:
    """Arrays x (N, T) or (N, T, D) and y (N,) or (N, K); for testing x_test and y_test where they are there."""
    with open_binary(path) as raw:
        try:
            held = np.load(raw, allow_pickle=False)
            arrays = {name: held[name] for names in ARRAYS[part] for name in names if name in held}
            found = ", ".join(held) or "none"
        except Exception:  # what zipfile and numpy raise for damaged archives is of many kinds
            remedy = "save arrays of numbers, without objects; series of unequal lengths belong into JSON lines"
            raise UserError(f"{path} is damaged, or no .npz of plain arrays", remedy=remedy) from None
    names = next((pair for pair in ARRAYS[part] if pair[0] in arrays), None)
    if names is None:
        raise UserError(f"{path}", expected="arrays x and y", got=found)
    x, y = arrays[names[0]], arrays.get(names[1])
    if x.ndim not in (2, 3) or x.dtype.kind not in "fiub":
        expected = "numbers (N, T) or (N, T, D)"
        raise UserError(f"{path}, {names[0]}", expected=expected, got=f"{x.dtype} of shape {x.shape}")
    if y is not None and len(x) != len(y):
        raise UserError(f"{path}, {names[1]}", expected=f"{len(x):,} labels as there are series", got=f"{len(y):,}")
    places = [f"{path}, {names[0]}[{row}]" for row in range(len(x))]
    inputs = [series_of(each, place) for each, place in zip(x, places, strict=True)]
    return Labelled(f"{path}", inputs, None if y is None else _cells(y), places)


def _cells(y: Any) -> list[Any]:
    """Labels as Python's own values; a row of marks (K,) means the labels of these numbers."""
    marks = y.ndim == 2 and (y.dtype.kind == "b" or set(np.unique(y)) <= {0, 1})
    return [[str(at) for at in np.flatnonzero(row)] for row in y] if marks else y.tolist()
