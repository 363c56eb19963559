"""Tagged sentences from CoNLL and CoNLL-U, two parallel files, JSON lines (each also as .gz or .zst), or a name."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

from elman.data.conll import ColumnReader
from elman.data.linefile import InputLine, arriving_lines
from elman.data.number_words import number_words
from elman.data.recognition import beginning
from elman.data.sources import NAMED_TAGGED
from elman.data.tagged import Form, Layout, TaggedSentence
from elman.data.textfile import JSON_LINES, decompress, json_value, mended, open_binary, uncompressed
from elman.errors import UserError, nearest
from elman.remedies import remedy_for_reader
from elman.wording import record_place

SPACES = re.compile(r"[ \t]+")
ROW = re.compile(r"[1-9][0-9]*([-.][0-9]+)?(\t[^\t\n]*){9}")  # of CoNLL-U
OBJECT = re.compile(r'\s*\{\s*["}]')
REMEDIES = {"UTF-8": "iconv -f latin1 -t utf-8 makes UTF-8 of it, where it is latin1", "NUL": "give a text file"}


def read_tagged(files: Sequence[str], layout: Layout) -> Iterator[TaggedSentence]:
    """The sentences of files of a form, without those that have no token.

    Errors: `UserError` with the file and the line where a line is malformed, and where a file cannot be read.
    """
    if files[0] in NAMED_TAGGED:
        return number_words(files[0].removeprefix("number-words-"))
    return (sentence for sentence in _READERS[layout.form]([Path(file) for file in files], layout) if sentence.tokens)


def find_layout(files: Sequence[str], column: str | int | None = None, token_column: str | int | None = None) -> Layout:
    """The layout of files, by their names and the beginning of the first.

    Errors: `UserError` where there are no such files, or too many.
    """
    check_files(files)
    if len(files) == 2 or files[0] in NAMED_TAGGED:
        form: Form = "parallel"
    else:
        form = form_of(uncompressed(Path(files[0])), first_lines(Path(files[0]))) or "conll"
    if form == "parallel" and (column is not None or token_column is not None):
        remedy = "leave data.column and data.token_column out"
        raise UserError(
            " and ".join(files), expected="a file with columns", got="one file of tags", remedy=remedy, exit_code=2
        )
    if form == "conll" and token_column is None and _are_numbered(first_lines(Path(files[0]))):
        token_column = 2
    return Layout(form, column, token_column)


def layout_like(files: Sequence[str], layout: Layout) -> Layout:
    """The layout of further files: where they are of the same form, their columns are the same too."""
    found = find_layout(files)
    return layout if found.form == layout.form else found


def check_files(files: Sequence[str]) -> None:
    """See that the files of tagged sentences are there, one or two. Errors: `UserError`."""
    if not 1 <= len(files) <= 2:
        expected = "one file of tagged tokens, or one of sentences and one of tags"
        raise UserError("tagged sentences", expected=expected, got=len(files), exit_code=2)
    for file in files:
        path = Path(file)
        if file in NAMED_TAGGED and len(files) == 1:
            return
        with suppress(OSError):  # the reader reports the system's refusal
            if path.is_dir():
                raise UserError(
                    file,
                    expected="a file of tagged sentences",
                    got="a folder",
                    remedy="give one of its files",
                    exit_code=2,
                )
            if not path.exists():
                remedy = nearest(file, NAMED_TAGGED)
                raise UserError(f"no such file or named source of tagged sentences: {file}", remedy=remedy, exit_code=2)


def form_of(name: str, lines: Sequence[str]) -> Form | None:
    """The form of a file, by its name and its first lines; None where they say nothing.

    >>> form_of("stdin", ["# text = Ja", "\\t".join(["1", "Ja", *"________"])]), form_of("stdin", ["Ja ADV"])
    ('conllu', None)
    """
    if name.endswith(JSON_LINES):
        return "jsonl"
    if name.endswith(".conllu"):
        return "conllu"
    rows = list(filter(is_row, lines))
    if not rows:
        return None
    if OBJECT.match(rows[0]):
        return "jsonl"
    if all(map(ROW.fullmatch, rows)):
        return "conllu"
    return "conll" if "\t" in rows[0] or rows[0].startswith("-DOCSTART-") or name.endswith(".conll") else None


def is_row(line: str) -> bool:
    """Whether a line is neither empty nor a comment, before the form of the file is known."""
    return bool(line.strip()) and not line.startswith("# ")


def first_lines(path: Path) -> list[str]:
    """The first lines of a file, without a last one that may be cut."""
    return beginning(path).decode("utf-8-sig", "replace").replace("\r\n", "\n").split("\n")[:-1]


def parse_tokens(line: str, key: str | None) -> TaggedSentence:
    """The tokens of an object in a line of JSON, with the tags of a key. Errors: `ValueError`."""
    record = parse_object(line)
    names = ["tokens"] if key is None else ["tokens", key]
    for name in names:
        values = record.get(name)
        if not isinstance(values, list):
            lists = " and ".join(f'"{name}"' for name in names)
            keys = f"the keys {', '.join(list(record)[:5]) or '(none)'}"
            got = f'"{name}": {reprlib.repr(values)}' if name in record else keys
            remedy = remedy_for_reader("--set data.column=KEY names another key of the tags")
            raise ValueError(f"expected an object with the lists {lists}, got {got}; {remedy}")
        for value in values:
            if not isinstance(value, str) or not value:
                raise ValueError(f'expected words in "{name}", got {reprlib.repr(value)}; write each as a string')
    tokens, tags = record["tokens"], record[key] if key else []
    if key and len(tokens) != len(tags):
        raise ValueError(f"expected a tag for each of {len(tokens)} tokens, got {len(tags)}; write as many of both")
    return TaggedSentence(tuple(map(mended, tokens)), tuple(map(mended, tags)))


def parse_object(line: str) -> dict[str, Any]:
    """The object in a line of JSON. Errors: `ValueError`."""
    try:
        record = json_value(line)
    except ValueError as error:
        raise ValueError(f"expected JSON, got a line that is none ({error}); write an object a line") from None
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, got {type(record).__name__}; write an object a line")
    return record


def words_of(line: str) -> tuple[str, ...]:
    """The tokens of a sentence that is a line: what stands between its spaces and tabs."""
    return tuple(filter(None, SPACES.split(line)))


def _columns(paths: Sequence[Path], layout: Layout) -> Iterator[TaggedSentence]:
    reader = ColumnReader(layout)
    for line in _lines(paths[0]):
        if rows := reader.push(line.text, line.error):
            if rows.error:
                raise _malformed(paths[0], rows.fault, rows.error)
            yield TaggedSentence(tuple(rows.tokens), tuple(rows.tags))
    if rows := reader.finish():
        if rows.error:
            raise _malformed(paths[0], rows.fault, rows.error)
        yield TaggedSentence(tuple(rows.tokens), tuple(rows.tags))


def _json(paths: Sequence[Path], layout: Layout) -> Iterator[TaggedSentence]:
    key = "tags" if layout.column is None else str(layout.column)
    for number, line in enumerate(_lines(paths[0]), 1):
        try:
            if line.error:
                raise ValueError(line.error)
            if line.text.strip():
                yield parse_tokens(line.text, key)
        except ValueError as error:
            raise _malformed(paths[0], number, str(error)) from None


def _parallel(paths: Sequence[Path], layout: Layout) -> Iterator[TaggedSentence]:
    numbered = enumerate(zip_longest(*map(_lines, paths)), 1)
    for number, (sentence, tagged) in numbered:
        if sentence is None or tagged is None:
            shorter, longer = number - 1, number + sum(1 for _ in numbered)
            counts = (shorter, longer) if sentence is None else (longer, shorter)
            what = f"{paths[0]} and {paths[1]} are not parallel"
            got = f"{counts[0]:,} and {counts[1]:,}"
            remedy = f"line {number} of {paths[sentence is None]} is the first without a partner"
            raise UserError(what, expected="as many lines in both", got=got, remedy=remedy)
        for path, line in zip(paths, (sentence, tagged), strict=True):
            if line.error:
                raise _malformed(path, number, line.error)
        tokens, tags = words_of(sentence.text), words_of(tagged.text)
        if len(tokens) != len(tags):
            got = f"{len(tags)} in {paths[1]}"
            remedy = "spaces part tokens and tags; write as many of both"
            raise UserError(
                f"{paths[0]}, line {number}", expected=f"a tag for each of {len(tokens)} tokens", got=got, remedy=remedy
            )
        yield TaggedSentence(tokens, tags)


_READERS: dict[Form, Callable[[Sequence[Path], Layout], Iterator[TaggedSentence]]] = {
    "conll": _columns,
    "conllu": _columns,
    "parallel": _parallel,
    "jsonl": _json,
}


def _lines(path: Path) -> Iterator[InputLine]:
    with open_binary(path) as raw:
        for lines in arriving_lines(decompress(raw, path), str(path)):
            yield from lines


def _malformed(path: Path, number: int, error: str) -> UserError:
    remedy = next((remedy for part, remedy in REMEDIES.items() if part in error and ";" not in error), "")
    return UserError(f"{record_place(path, number)}: {error}", remedy=remedy)


def _are_numbered(lines: Sequence[str]) -> bool:
    """Whether the first column of the first sentence numbers its tokens, two or more."""
    numbers = list[str]()
    for line in lines:
        if numbers and not line.strip():
            break
        if is_row(line) and not line.startswith("-DOCSTART-"):
            numbers.append(SPACES.split(line)[0])
    return len(numbers) > 1 and numbers == [str(number) for number in range(1, len(numbers) + 1)]
