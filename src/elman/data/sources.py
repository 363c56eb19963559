"""Sources: where text comes from. A source streams documents and never holds one whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elman.data.textfile import BLOCK, TextPiece, blocks, cut, is_text, mended, read_pieces
from elman.errors import UserError, nearest

NAMED = ("python-stdlib",)
LANGUAGES = ("en", "pt_BR", "de")  # of number words: those in which a test reads every form back
NAMED_PAIRS = (*(f"{first}-{language}" for first in ("numbers", "digits") for language in LANGUAGES), "dates")


@dataclass(frozen=True)
class Source:
    """Text files read one after the other, each one document (JSON lines: one a line).

    `sizes` are in bytes on disk; `stamp` changes when a file is changed, added, removed or moved.
    """

    name: str
    files: tuple[Path, ...]
    sizes: tuple[int, ...]
    stamp: str
    folder: bool = False  # whose files were found, not named: one that is no text is passed over
    _verdicts: dict[Path, bool] = field(default_factory=dict, repr=False, compare=False)

    def pieces(self) -> Iterator[TextPiece]:
        """The text in pieces of at most about a million characters; positions run from 0 to `size`.

        Errors: `UserError` where a file cannot be read or there is no text at all.
        """
        found = False
        before = 0
        for path, size in zip(self.files, self.sizes, strict=True):
            if self._wanted(path):
                for piece in read_pieces(path):
                    found = True
                    yield piece._replace(position=before + piece.position)
            before += size
        if not found:
            what = "no file in it is UTF-8 text" if self.folder and self.skipped else "it is empty"
            raise _no_text(self.name, what)

    @property
    def size(self) -> int:
        """Bytes on disk, all files together."""
        return sum(self.sizes)

    @property
    def skipped(self) -> int:
        """How many files of a folder were passed over, not being UTF-8 text: known once they were read."""
        return sum(not verdict for verdict in self._verdicts.values())

    def _wanted(self, path: Path) -> bool:
        if not self.folder:
            return True
        if path not in self._verdicts:
            self._verdicts[path] = is_text(path)
        return self._verdicts[path]


@dataclass(frozen=True)
class TextInMemory:
    """Documents that are in no file; `size` is in characters, and `stamp` changes with what they say."""

    documents: tuple[str, ...] = field(repr=False)
    name: str = "text in memory"
    skipped: int = 0

    def pieces(self) -> Iterator[TextPiece]:
        """As of `Source`; empty documents are left out. Errors: `UserError` where there is no text at all."""
        position = 0
        for document in filter(None, self.documents):
            for text in cut(blocks(document, BLOCK)):
                position += len(text)
                yield TextPiece(text, False, position)
            yield TextPiece("", True, position)
        if not position:
            raise _no_text(self.name, "it is empty")

    @property
    def size(self) -> int:
        """Characters, all documents together."""
        return sum(map(len, self.documents))

    @property
    def stamp(self) -> str:
        """A hash of the documents."""
        stamp = hashlib.sha256()
        for piece in self.pieces() if self.size else ():
            stamp.update(b"\xff" if piece.ends else piece.text.encode())
        return stamp.hexdigest()


TextSource = Source | TextInMemory
TextData = str | Path | TextSource
"""A name, a file, a folder, or a source that is there already."""


def text_in_memory(text: str | Sequence[str]) -> TextInMemory:
    """A source of a text, or of several documents. Errors: `UserError` where a document is no string."""
    documents = (text,) if isinstance(text, str) else tuple(text)
    for number, document in enumerate(documents, 1):
        if not isinstance(document, str):
            raise UserError(f"document {number}", expected="a string", got=type(document).__name__, exit_code=2)
    return TextInMemory(tuple(map(mended, documents)))


def open_source(data: TextData) -> TextSource:
    """A named source, a file (text, .jsonl, .ndjson; also .gz or .zst of these) or a folder of such files.

    Nothing is read yet. A source is returned as it is. Errors: `UserError` where there is nothing by that name.
    """
    if isinstance(data, TextSource):
        return data
    if str(data) in NAMED:
        from elman.data.stdlib import python_stdlib

        return _source(str(data), python_stdlib())
    path = Path(data)
    try:
        if path.is_dir():
            return _source(str(data), _files_under(path), folder=True)
        if path.is_file():
            return _source(str(data), [path])
        found = path.exists()
    except OSError as error:
        raise UserError(f"cannot read {data}: {error.strerror}", exit_code=2) from error
    if found:
        raise UserError(f"{data} is not a file", remedy="save it as one: it is read more than once", exit_code=2)
    if str(data) in NAMED_PAIRS:
        raise UserError(str(data), expected="text", got="a source of pairs", exit_code=2)
    remedy = nearest(str(data), [*NAMED, *NAMED_PAIRS])
    raise UserError(f"no such file or named source: {data}", remedy=remedy, exit_code=2)


def _no_text(name: str, why: str) -> UserError:
    return UserError(f"{name} holds no text: {why}", remedy="give a text to learn from")


def _files_under(folder: Path) -> list[Path]:
    """The files of a folder and its folders, in order, without the hidden ones and those of run folders."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not _is_run(Path(root, name)))
        found += [Path(root, name) for name in sorted(files) if not name.startswith(".")]
    found = [path for path in found if path.is_file()]
    if not found:
        raise UserError(f"{folder} holds no files", remedy="give a folder of texts")
    return found


def _is_run(folder: Path) -> bool:
    """Whether a training made this folder: one beside its own data must not become data when it goes on."""
    return (folder / ".lock").is_file() and (folder / "cache").is_dir()


def _source(name: str, files: list[Path], folder: bool = False) -> Source:
    stamp = hashlib.sha256()
    sizes = []
    for path in files:
        facts = path.stat()
        sizes.append(facts.st_size)
        line = f"{path.resolve()}\0{facts.st_size}\0{facts.st_mtime_ns}\n"
        stamp.update(line.encode("utf-8", "surrogateescape"))
    return Source(name, tuple(files), tuple(sizes), stamp.hexdigest(), folder)
