"""CoNLL and CoNLL-U: a token a line, in columns; an empty line, or one of white space, after each sentence.

Columns are parted by tabs where the first row has a tab, else by spaces. In CoNLL-U a row begins with the number of a
word; rows of ranges (2-3) and of empty nodes (8.1) are no tokens. Lines that are no rows are comments (`# …`) and the
marks of documents (`-DOCSTART-`). A reader keeps every line, so that a sentence can be written as it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from elman.data.tagged import Layout
from elman.errors import UserError, nearest

FIELDS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")  # of CoNLL-U
COLUMNS = re.compile(r"#\s*global\.columns\s*=(.*)")  # the comment that names the columns: CoNLL-U Plus
COMMENT = re.compile(r"#( |$|begin |end )")
KEYED = re.compile(r"#\s*\S+\s*=(\s|$)")  # a comment with a key, such as "# text = …"
DOCUMENT = "-DOCSTART-"
WORD = re.compile(r"([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?")  # or a range of words
EMPTY_NODE = re.compile(r"([0-9]{1,9})\.[1-9][0-9]*")
SPACES = re.compile(r"[ \t]+")


@dataclass
class TokenRows:
    """A sentence as it stands in a file, with the lines before it that belong to no sentence."""

    first: int  # the number of its first line, from 1
    lines: list[str] = field(default_factory=list)  # all of them, the empty one after the sentence too
    at: list[int] = field(default_factory=list)  # the place among `lines` of each token
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)  # none where the reader takes untagged tokens
    forms: list[tuple[str, int, int]] = field(default_factory=list)  # as written: of each token or range [start, stop)
    error: str = ""  # of its first malformed line
    fault: int = 0  # the number of that line


class Malformed(ValueError):
    """A line is none of its form."""

    def __init__(self, expected: str, got: object, remedy: str) -> None:
        super().__init__(f"expected {expected}, got {got}; {remedy}")


class ColumnReader:
    """Reads sentences from lines, one line at a time.

    Args:
        layout: which columns have the tokens and the tags. By default, those of the forms and of the universal parts
            of speech in CoNLL-U, and in CoNLL the first and the last.
        tagged: whether every token must have a tag.
    """

    def __init__(self, layout: Layout, *, tagged: bool = True) -> None:
        self.layout, self.tagged = layout, tagged
        self.tabs: bool | None = None  # None before the first row
        self.token = self.tag = 0  # the columns, from 0
        self._names: Sequence[str] = ()
        self._width = 0
        if layout.form == "conllu":
            self._name_columns(FIELDS)
        self._read, self._first = 0, True  # lines, and whether no row has been read
        self._rows = TokenRows(1)

    def push(self, line: str, error: str = "") -> TokenRows | None:
        """Read a line without its end, or pass over one with an error. Returns the sentence that has ended."""
        self._read += 1
        rows, cells, ended = self._rows, self._cells(line), None
        marks_document = cells[0].startswith(DOCUMENT)
        if marks_document and self._begun:
            ended, rows = rows, TokenRows(self._read)
            self._rows = rows
        rows.lines.append(line)
        if not line.strip() and not error:
            if self._begun:
                ended, self._rows = rows, TokenRows(self._read + 1)
        elif not (marks_document or rows.error):
            try:
                if not (error or self._is_comment(line, cells)):
                    self._row(cells)
            except Malformed as malformed:
                error = str(malformed)
            if error:
                rows.error, rows.fault = error, self._read
        return ended

    @property
    def rows(self) -> TokenRows:
        """The sentence that is being read."""
        return self._rows

    def finish(self) -> TokenRows | None:
        """The last sentence, or the lines after it; None where there are none."""
        return self._rows if self._rows.lines else None

    def added(self, line: str, tag: str) -> str:
        """A row with a tag in a column after all others."""
        return f"{line} {tag}" if not self.tabs and self._width > 1 else f"{line}\t{tag}"

    def replaced(self, line: str, tag: str) -> str:
        """A row with another tag in the column of the tags."""
        parts = line.split("\t") if self.tabs else re.split(r"([^ \t]+)", line)
        parts[self.tag if self.tabs else 2 * self.tag + 1] = tag
        return ("\t" if self.tabs else "").join(parts)

    def _cells(self, line: str) -> list[str]:
        tabs = "\t" in line if self.tabs is None else self.tabs
        return line.split("\t") if tabs else SPACES.split(line.strip(" \t"))

    @property
    def _begun(self) -> bool:
        return bool(self._rows.forms or self._rows.error)

    def _name_columns(self, names: Sequence[str]) -> None:
        self._names, self._width, self.tabs = tuple(names), len(names), True

    def _is_comment(self, line: str, cells: Sequence[str]) -> bool:
        """Whether a line that begins with # is no row: # is a token too."""
        if not line.startswith("#"):
            return False
        if named := COLUMNS.match(line):
            self._name_columns(named[1].lower().split())
        if self._names:
            return len(cells) != self._width
        if not COMMENT.match(line):
            return False
        return len(cells) != self._width or bool(KEYED.match(line) and not self.tabs)

    def _row(self, cells: Sequence[str]) -> None:
        rows = self._rows
        if not rows.forms:
            self._find_columns(cells)
        if len(cells) != self._width:
            columns = f"columns, parted by {'tabs' if self.tabs else 'spaces'}"
            remedy = "every token has as many; an empty line stands between sentences, and a comment begins with '# '"
            raise Malformed("one column" if self._width == 1 else f"{self._width} {columns}", len(cells), remedy)
        token, start = cells[self.token], len(rows.tokens)
        stop = self._stop(cells[0]) if self._names[:1] == ("id",) else start + 1
        if not token:
            raise Malformed(f"a token in column {self.token + 1}", "nothing", "write the token, or remove the line")
        if self.tagged and not cells[self.tag] and stop == start + 1:
            raise Malformed(f"a tag in column {self.tag + 1}", "nothing", "write the token's tag, such as O or _")
        if stop > max(start, rows.forms[-1][2] if rows.forms else 0):  # not of an empty node, and not within a range
            rows.forms.append((token, start, stop))
        if stop == start + 1:
            rows.at.append(len(rows.lines) - 1)
            rows.tokens.append(token)
            rows.tags += [cells[self.tag]] if self.tagged else []

    def _stop(self, number: str) -> int:
        """The number of the last word of a row: of an empty node, that before it; of a range, its last."""
        before = len(self._rows.tokens)
        node, word = EMPTY_NODE.fullmatch(number), WORD.fullmatch(number)
        if node and int(node[1]) == before:
            return before
        if word and int(word[1]) == before + 1 and (word[2] is None or int(word[2]) > before + 1):
            return int(word[2] or word[1])
        remedy = "words are numbered from 1, and an empty line stands between sentences"
        raise Malformed(f"word {before + 1} in column 1, or a range of words or an empty node", repr(number), remedy)

    def _find_columns(self, cells: Sequence[str]) -> None:
        """Find the columns by the first row of a sentence.

        All sentences of a file have as many, but where the tags' column is counted from the first: CoNLL 2012 has a
        column for each verb of a sentence.
        """
        column, words = self.layout.column, self.layout.token_column
        self.tabs = "\t" in self._rows.lines[-1] if self.tabs is None else self.tabs
        if not self._width or (isinstance(column, int) and column > 0 and not self._names):
            self._width = len(cells)
        elif self._first and self._names == FIELDS and len(cells) > self._width and all(cells):
            self._width = len(cells)  # with columns that a tool has added, as `added` does
        self._first = False
        first, last = ("form", "upos") if self._names else (1, -1)
        if self.tagged or self._width > 1:  # a column alone has the tokens
            self.token = self._place(words, first, "token_column")
        if not self.tagged:
            return
        self.tag = self._place(column, last, "column")
        if self.tag == self.token:
            got = f"column {self.tag + 1} for both"
            raise Malformed(
                "a column of tokens and one of tags", got, "set data.column to the number of another column"
            )

    def _place(self, asked: str | int | None, usual: str | int, setting: str) -> int:
        """The place from 0 of the column that is asked for, or else the usual one.

        Raises `UserError` where there is no column that a person asked for, `Malformed` where the usual one is missing.
        """
        column = usual if asked is None else asked
        if isinstance(column, str) and column.lower() in self._names:
            return self._names.index(column.lower())
        if isinstance(column, int) and 0 < abs(column) <= self._width:
            return column - 1 if column > 0 else self._width + column
        if asked is None:
            remedy = f"set data.{setting} to the name or the number of another column"
            raise Malformed(f"a column {column!r}", ", ".join(self._names) or f"{self._width} columns", remedy)
        expected = f"a number from 1 to {self._width}, or from -{self._width} to -1"
        remedy = "columns have names in CoNLL-U, and where a comment '# global.columns =' has them"
        if self._names:
            expected = f"a name or a number of one of the {self._width} columns"
            remedy = nearest(str(column).lower(), self._names)
        raise UserError(f"data.{setting}", expected=expected, got=repr(column), remedy=remedy, exit_code=2)
