"""What a file looks like, from its name and its beginning: text, or data of another kind that a text model would spell.

Content speaks first and the name's ending second. Prose, verse and source code must never be taken for data, so that
every rule asks for a structure that each of the first lines has.
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

from elman.data.sources import NAMED, Source, TextData, open_source
from elman.data.textfile import decompress, open_binary
from elman.errors import UserError

BEGINNING = 1 << 16  # bytes that are looked at
ROWS = 100  # of a table
WORDY = 10  # rows: fewer that hold words alone, between commas, may be verse
FILES = 40  # of a folder, evenly spread
# Where two are as regular, the first counts: a comma may be a decimal one, or be within a cell.
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
NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?%?|nan|na|n/a|null|-?inf|", re.IGNORECASE)
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?Z?)?")
NAME = re.compile(r"[^\W\d][\w .-]*")  # of a column
CHUNK = re.compile(r"O|[BIESLU]-\S+")  # the tag of a token in a chunk, in any of the usual schemes
PART_OF_SPEECH = re.compile(r"[A-Z]{1,5}\$?|[^\w\s]+")
JSON = re.compile(
    r'(?:\s++|[{}\[\],:]|"(?:[^"\\\n]|\\.)*+"|-?\d++(?:\.\d++)?(?:[eE][-+]?\d++)?|true|false|null)*+'
)  # any number of its tokens
LONGEST_TOKEN = 32  # of JSON, strings aside


def recognise(name: str, beginning: bytes) -> str | None:
    """What a file of this name with this beginning looks like, in words; None for text, and for records of texts.

    >>> recognise("a.txt", b"x,y,z\\n1,2,3\\n4,5,6\\n7,8,9\\n")
    'a table (CSV, 3 columns)'
    >>> recognise("a.txt", b"Roses, red, blue,\\nviolets, too.\\n") is None
    True
    """
    if not _may_be_text(beginning):
        return next((words for magic, words in BINARY.items() if beginning.startswith(magic)), None)
    name = name.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith((".jsonl", ".ndjson")):  # whose reader says what a record must be
        return None
    text = beginning.decode("utf-8-sig", "ignore").replace("\r\n", "\n")
    lines = text.split("\n")
    goes_on = len(beginning) >= BEGINNING
    if goes_on and len(lines) > 1:
        lines.pop()
    return _series(lines) or _json(name, text.strip(), goes_on) or _tokens(name, lines) or _table(name, lines)


def _may_be_text(beginning: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return 0 not in beginning


def _series(lines: Sequence[str]) -> str | None:
    """The formats whose header is of lines that begin with @."""
    first = next((line.lower() for line in lines if line.strip() and line[0] not in "#%"), "")
    if first.startswith("@problemname"):
        return "time series (.ts)"
    return "a table (ARFF)" if first.startswith("@relation") else None


def _json(name: str, text: str, goes_on: bool) -> str | None:
    """Nothing but the tokens of JSON to the end, or to the token in which the beginning ends."""
    if not re.match(r'\{\s*["}]|\{$|\[\s*(?:[\[\]{"\d-]|true|false|null|$)', text):
        return None
    rest = text[JSON.match(text).end() :]  # type: ignore[union-attr]  # it matches nothing at least
    ends_within = goes_on and (rest.startswith('"') or len(rest) < LONGEST_TOKEN)
    return "JSON" if not rest or ends_within or name.endswith(".json") else None


def _tokens(name: str, lines: Sequence[str]) -> str | None:
    """CoNLL: a token a line, its columns as many on every line, and an empty line after each sentence."""
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
    tagged = all(CHUNK.fullmatch(row[-1]) for row in rows) or (tabs and all(map(_is_tagged, rows)))
    return words if tagged else None


def _is_tagged(row: Sequence[str]) -> bool:
    return PART_OF_SPEECH.fullmatch(row[-1]) is not None and not any(" " in cell for cell in row)


def _table(name: str, lines: Sequence[str]) -> str | None:
    """Rows of as many columns each, of values rather than of prose; a name of a table lets half of them differ."""
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
    """Whether rows of one width are a table's: half of its columns numbers or dates, or no space after a separator.

    Commas without a space are also those of chords and of verse: among words alone they need a header and many rows.
    """
    if len(rows) < 4 or not all(row[0].strip() for row in rows):
        return False
    values = _columns_of_values(rows)
    if len(values) == 2:
        return separator != "|" and all(values)
    if 2 * sum(values) >= len(values):
        return True
    tight = not any(cell.startswith(" ") for row in rows for cell in row[1:])
    return tight and (separator == "\t" or (separator == "," and len(rows) >= WORDY and _has_header(rows)))


def _columns_of_values(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Of each column, whether it holds numbers or dates below what may be a header."""
    columns = zip(*rows[1:], strict=True)
    return [all(NUMBER.fullmatch(x.strip()) or DATE.fullmatch(x.strip()) for x in column) for column in columns]


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has different names, none of which occurs below."""
    below = {cell for row in rows[1:] for cell in row}
    names = [cell for cell in rows[0] if NAME.fullmatch(cell) and cell not in below]
    return len(set(names)) == len(rows[0])


def check_text(data: TextData) -> None:
    """See that a source holds text as far as the beginning shows: of a folder's readable files, of half at least.

    Errors: `UserError` that says what it looks like.
    """
    if str(data) in NAMED:
        return
    source = open_source(data)
    if not isinstance(source, Source):
        return
    files = {path: begin for path in source.files[:: -(-len(source.files) // FILES)] if (begin := beginning(path))}
    if source.folder:  # its reader passes over what is no text
        files = {path: begin for path, begin in files.items() if _may_be_text(begin)}
    found = {path: words for path, begin in files.items() if (words := recognise(path.name, begin))}
    if 2 * len(found) <= len(files):
        return
    path, words = next(iter(found.items()))
    if source.folder:
        words = f"{words} in {len(found)} of {len(files)} files, such as {path.name}"
    remedy = "--task language-modelling trains on its characters all the same"
    if not _may_be_text(files[path]):
        remedy = "give a text file"
    elif words.startswith("a table (TSV") and _holds_sentences(files[path]):
        remedy = f"for pairs, keep two columns, in a .tsv (such as cut -f 1,2); {remedy}"
    raise UserError(f"{data} looks like {words}", expected="a text or pairs", remedy=remedy, exit_code=2)


def _holds_sentences(begin: bytes) -> bool:
    """Whether two of a TSV's columns at least are of words, as of pairs with a licence or with their numbers."""
    rows = [line.split("\t") for line in begin.decode("utf-8-sig", "ignore").splitlines()[:ROWS]]
    return _columns_of_values([row for row in rows if len(row) == len(rows[0])]).count(False) >= 2


def beginning(path: Path) -> bytes:
    """The first bytes of a file, those of .gz and .zst unpacked.

    Errors: as those of reading all of it.
    """
    begin = b""
    with open_binary(path) as raw, closing(decompress(raw, path)) as blocks:
        for block in blocks:
            begin += block
            if len(begin) >= BEGINNING:
                break
    return begin[:BEGINNING]
