"""Recognition of a file by its beginning and its name: text, or data of another kind, which a text model would spell.

Prose, verse and source code must never be taken for data, so that every rule demands a structure of all first lines.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from elman.data.sources import NAMED, TextData, open_source
from elman.data.textfile import JSON_LINES, decompress, open_binary, uncompressed
from elman.errors import UserError

BEGINNING = 1 << 16  # bytes
ROWS = 100  # of a table
WORDY = 10  # rows of words between commas; fewer may be verse
FILES = 40  # of a folder, evenly spread
# Of two equally regular separators the first counts: a comma may be a decimal comma, or be within a cell.
SEPARATORS = {"\t": "TSV", ";": "CSV, separated by ;", "|": "CSV, separated by |", ",": "CSV"}

BINARY = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive (.npz, .xlsx, …)",
    b"\x93NUMPY": "a numpy array",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"MATLAB 5.0 MAT-file": "a MATLAB file",
    b"SQLite format 3\0": "a SQLite database",
    b"%PDF-": "a PDF",
    b"\x89PNG\r\n\x1a\n": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"\x1f\x8b": "a gzip archive without the ending .gz",
    b"\x28\xb5\x2f\xfd": "a zstd archive without the ending .zst",
}
OF_SERIES = "problemname timestamps missing univariate dimension equallength serieslength classlabel targetlabel data"
SERIES = {f"@{name}": "time series (.ts)" for name in OF_SERIES.split()} | {"@relation": "a table (ARFF)"}
"""Beginnings of a first line."""
NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?%?|nan|na|n/a|null|-?inf|", re.IGNORECASE)
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?Z?)?")
NAME = re.compile(r"[^\W\d][\w .-]*")  # of a column
CHUNK = re.compile(r"O|[BIESLU]-\S+")  # the tag of a token in a chunk, in any of the usual schemes
PART_OF_SPEECH = re.compile(r"[A-Z]{1,5}\$?|[^\w\s]+")
# Any number of JSON's tokens.
JSON = re.compile(r'(?:\s++|[{}\[\],:]|"(?:[^"\\\n]|\\.)*+"|-?\d++(?:\.\d++)?(?:[eE][-+]?\d++)?|true|false|null)*+')
LONGEST_TOKEN = 32  # of JSON, strings aside


def recognise(name: str, beginning: bytes) -> str | None:
    """The kind of a file of this name with this beginning, in words; None for text, and for records of texts.

    >>> recognise("a.txt", b"x,y,z\\n1,2,3\\n4,5,6\\n7,8,9\\n")
    'a table (CSV, 3 columns)'
    >>> recognise("a.txt", b"Roses, red, blue,\\nviolets, too.\\n") is None
    True
    """
    if not _may_be_text(beginning):
        return next((words for magic, words in BINARY.items() if beginning.startswith(magic)), None)
    name = uncompressed(Path(name))
    if name.endswith(JSON_LINES):  # the reader of JSON lines checks its records
        return None
    text = beginning.decode("utf-8-sig", "ignore").replace("\r\n", "\n")
    lines = text.split("\n")
    cut = len(beginning) >= BEGINNING
    if cut and len(lines) > 1:
        lines.pop()
    first = next((line.lower() for line in lines if line.strip() and line[0] not in "#%"), "")
    series = next((words for mark, words in SERIES.items() if first.startswith(mark)), None)
    return series or _json(name, text.strip(), cut) or _tokens(name, lines) or _table(name, lines)


def _may_be_text(beginning: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return 0 not in beginning


def _json(name: str, text: str, cut: bool) -> str | None:
    """JSON: tokens of JSON alone, to the end or to the token that is `cut`."""
    if not re.match(r'\{\s*["}]|\{$|\[\s*(?:[\[\]{"\d-]|true|false|null|$)', text):
        return None
    rest = text[JSON.match(text).end() :]  # type: ignore[union-attr]  # JSON also matches an empty string
    ends_within = cut and (rest.startswith('"') or len(rest) < LONGEST_TOKEN)
    return "JSON" if not rest or ends_within or name.endswith(".json") else None


def _tokens(name: str, lines: Sequence[str]) -> str | None:
    """CoNLL: a line of columns for each token, and an empty line after each sentence."""
    kept = [line for line in lines if not re.match(r"#(\s|$|begin |end )", line)]
    full = [line.rstrip() for line in kept if line.strip()][:ROWS]
    tabs = all("\t" in line for line in full)
    rows = [line.split("\t" if tabs else None) for line in full]
    if not rows:
        return None
    if all(CHUNK.fullmatch(cell) for row in rows for cell in row) and any(cell != "O" for row in rows for cell in row):
        return "tags of tokens (BIO)"
    (width, times) = Counter(map(len, rows)).most_common(1)[0]
    if tabs and width == 10 and times == len(rows) and all(re.match(r"\d+([-.]\d+)?$", row[0]) for row in rows):
        return "sentences of tagged tokens (CoNLL-U)"
    if width == 1:
        return None
    words = f"sentences of tagged tokens (CoNLL, {width} columns)"
    if name.endswith((".conll", ".conllu", ".conllx")) or rows[0][0] == "-DOCSTART-":
        return words
    if times < len(rows) or len(rows) < 4 or all(line.strip() for line in kept[:-1]):
        return None
    chunked = all(CHUNK.fullmatch(row[-1]) for row in rows)
    tagged = tabs and all(PART_OF_SPEECH.fullmatch(row[-1]) and " " not in "".join(row) for row in rows)
    return words if chunked or tagged else None


def _table(name: str, lines: Sequence[str]) -> str | None:
    """A table: rows of equally many columns that hold values; the name of a table excuses half of the rows."""
    kept = [line for line in lines if line.strip() and not line.startswith("#")]
    if name.endswith(".csv") and kept and all(NUMBER.fullmatch(line.strip()) for line in kept[1:ROWS]):
        return "a table (CSV, 1 column)"
    best, found = 0.0, None
    for separator, words in SEPARATORS.items():
        rows = _rows(kept, separator)
        width, times = Counter(map(len, rows)).most_common(1)[0] if rows else (1, 0)
        if width > 1 and times / len(rows) > best:
            best, found = times / len(rows), (separator, words, width, rows)
    if found is None:
        return None
    separator, words, width, rows = found
    if name.endswith(".tsv") and separator == "\t" and width == 2:
        return None  # pairs
    named = best >= 0.5 and name.endswith((".csv", ".tsv"))
    return f"a table ({words}, {width} columns)" if named or (best == 1 and _holds_values(rows, separator)) else None


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    try:
        return list(islice(csv.reader((line + "\n" for line in lines), delimiter=separator), ROWS))
    except csv.Error:  # a cell of more than 131,072 characters
        return []


def _holds_values(rows: Sequence[Sequence[str]], separator: str) -> bool:
    """Whether rows of one width are a table: half of the columns are numbers or dates, or no separator has a space.

    Commas without a space occur in chords and in verse too, so that words between commas need a header and many rows.
    """
    if len(rows) < 4 or not all(row[0].strip() for row in rows):
        return False
    values = _columns_of_values(rows)
    if len(values) == 2:
        return separator != "|" and all(values)
    if 2 * sum(values) >= len(values):
        return True
    if separator not in "\t," or any(cell.startswith(" ") for row in rows for cell in row[1:]):
        return False
    below = {cell for row in rows[1:] for cell in row}
    names = {cell for cell in rows[0] if NAME.fullmatch(cell)} - below
    return separator == "\t" or (len(rows) >= WORDY and len(names) == len(rows[0]))


def _columns_of_values(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Whether each column holds numbers or dates below the first row, which may be a header."""
    columns = zip(*rows[1:], strict=True)
    return [all(NUMBER.fullmatch(x.strip()) or DATE.fullmatch(x.strip()) for x in column) for column in columns]


def check_text(data: TextData, otherwise: str = "") -> None:
    """See that a source holds text by its beginning: of a folder, by the beginnings of at least half of its files.

    Errors: `UserError` that names the kind of data, and what reads them `otherwise`.
    """
    if str(data) in NAMED:
        return
    source = open_source(data)
    files = {path: begin for path in source.files[:: -(-len(source.files) // FILES)] if (begin := beginning(path))}
    if source.folder:  # files that are not text are skipped
        files = {path: begin for path, begin in files.items() if _may_be_text(begin)}
    found = {path: words for path, begin in files.items() if (words := recognise(path.name, begin))}
    if 2 * len(found) <= len(files):
        return
    path, words = next(iter(found.items()))
    if source.folder:
        words = f"{words} in {len(found)} of {len(files)} files, such as {path.name}"
    remedies = [otherwise] if _may_be_text(files[path]) else ["give a text file"]
    if words.startswith("a table (TSV") and _holds_sentences(files[path]):
        remedies.insert(0, "for pairs, keep two columns, in a .tsv (such as cut -f 1,2)")
    if words.startswith(("a table (", "a Parquet")):
        named = "name the columns text and label, or unique_id, ds and y, or say their names (--set text=NAME)"
        remedies.insert(0, f"for labels or series, {named}")
    remedy = "; ".join(filter(None, remedies))
    raise UserError(f"{data} looks like {words}", expected="a text or pairs", remedy=remedy, exit_code=2)


def _holds_sentences(begin: bytes) -> bool:
    """Whether at least two columns of a TSV are words, as in pairs with a licence or with numbers."""
    rows = [line.split("\t") for line in begin.decode("utf-8-sig", "ignore").splitlines()[:ROWS]]
    return _columns_of_values([row for row in rows if len(row) == len(rows[0])]).count(False) >= 2


def beginning(path: Path) -> bytes:
    """The first bytes of a file, decompressed. Errors: as for reading the whole file."""
    begin = b""
    with open_binary(path) as raw, closing(decompress(raw, path)) as blocks:
        while len(begin) < BEGINNING and (block := next(blocks, b"")):
            begin += block
    return begin[:BEGINNING]
