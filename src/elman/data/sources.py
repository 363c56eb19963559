"""Sources of text, which stream documents in pieces."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elman.data.textfile import BLOCK, TextPiece, blocks, cut, is_text, mended, read_pieces
from elman.errors import UserError, nearest

NAMED = ("python-stdlib",)
LANGUAGES = ("en", "pt_BR", "de")  # of number words; a test reads the words of these languages back
NAMED_PAIRS = (*(f"{first}-{language}" for first in ("numbers", "digits") for language in LANGUAGES), "dates")
NAMED_TAGGED = ("number-words-en", "number-words-pt_BR")
NAMED_LABELLED = ("digits",)
NAMED_SERIES = ("sunspots", "co2")
EVERY_NAME = (*NAMED, *NAMED_PAIRS, *NAMED_TAGGED, *NAMED_LABELLED, *NAMED_SERIES)

# Folders that `python-stdlib` leaves out: tests, tables, bundled wheels, and packages that some systems do not install.
LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "tkinter", "distutils", "encodings", "pydoc_data"}
LEFT_OUT |= {"ensurepip", "site-packages", "dist-packages", "lib-dynload", "__pycache__"}

Progress = Callable[[str, float], None]
"""Takes the name of a stage, such as "encoding", and the fraction of the stage that is done, from 0 to 1."""


@dataclass(frozen=True)
class Source:
    """Documents in files, each a file or a line of JSON, or in memory.

    `sizes` are in bytes on disk, or in characters; `stamp` changes when a document is changed, added, removed or moved.
    """

    name: str
    sizes: tuple[int, ...]
    stamp: str
    files: tuple[Path, ...] = ()
    folder: bool = False  # in a folder, files that are not text are skipped
    documents: tuple[str, ...] = field(default=(), repr=False)
    _are_text: dict[Path, bool] = field(default_factory=dict, repr=False, compare=False)

    def pieces(self) -> Iterator[TextPiece]:
        """The text in pieces of at most about a million characters; positions run from 0 to `size`.

        Empty documents are left out. Errors: `UserError` where a file cannot be read or there is no text at all.
        """
        found = False
        for piece in self._of_files() if self.files else self._of_memory():
            found = True
            yield piece
        if not found:
            why = "no file in it is UTF-8 text" if self.skipped else "it is empty"
            raise UserError(f"{self.name} holds no text: {why}", remedy="give a text to learn from")

    def _of_files(self) -> Iterator[TextPiece]:
        before = 0
        for path, size in zip(self.files, self.sizes, strict=True):
            if self.folder and path not in self._are_text:
                self._are_text[path] = is_text(path)
            if self._are_text.get(path, True):
                yield from (piece._replace(position=before + piece.position) for piece in read_pieces(path))
            before += size

    def _of_memory(self) -> Iterator[TextPiece]:
        position = 0
        for document in self.documents:
            for text in cut(blocks(document, BLOCK)):
                position += len(text)
                yield TextPiece(text, False, position)
            yield TextPiece("", True, position)

    @property
    def size(self) -> int:
        """The size of all documents."""
        return sum(self.sizes)

    @property
    def skipped(self) -> int:
        """The number of a folder's files that are not UTF-8 text; complete after the last piece."""
        return list(self._are_text.values()).count(False)


TextData = str | Path | Source
"""A name, a file, a folder, or a source of text."""


def text_in_memory(text: str | Sequence[str]) -> Source:
    """A source of one document or several. Errors: `UserError` where a document is no string."""
    documents = (text,) if isinstance(text, str) else tuple(text)
    for number, document in enumerate(documents, 1):
        if not isinstance(document, str):
            raise UserError(f"document {number}", expected="a string", got=type(document).__name__, exit_code=2)
    documents, stamp = tuple(filter(None, map(mended, documents))), hashlib.sha256()
    for document in documents:
        stamp.update(document.encode() + b"\xff")  # 0xff is in no UTF-8 text
    return Source("text in memory", tuple(map(len, documents)), stamp.hexdigest(), documents=documents)


def open_source(data: TextData) -> Source:
    """A named source, a file (text, .jsonl, .ndjson; also .gz or .zst of these) or a folder of such files.

    Nothing is read yet; a source is returned as it is. Errors: `UserError` where there is no such file or name.
    """
    if isinstance(data, Source):
        return data
    if str(data) in NAMED:
        return _source(str(data), python_stdlib())
    path = Path(data)
    try:
        if path.is_dir():
            return _source(str(data), _files_under(path), folder=True)
        if path.is_file():
            return _source(str(data), [path])
        if path.exists():
            remedy = "save the text in a file, because it is read more than once"
            raise UserError(f"{data} is not a file", remedy=remedy, exit_code=2)
    except OSError as error:
        raise UserError(f"cannot read {data}: {error.strerror}", exit_code=2) from error
    if str(data) in NAMED_PAIRS:
        raise UserError(str(data), expected="text", got="a source of pairs", exit_code=2)
    remedy = nearest(str(data), EVERY_NAME)
    raise UserError(f"no such file or named source: {data}", remedy=remedy, exit_code=2)


def _files_under(folder: Path) -> list[Path]:
    """The files of a folder and of its folders, in order, without hidden files and run folders."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not _is_run(Path(root, name)))
        paths = [Path(root, name) for name in sorted(files) if not name.startswith(".")]
        found += [path for path in paths if path.is_file()]
    if not found:
        raise UserError(f"{folder} holds no files", remedy="give a folder of texts")
    return found


def _is_run(folder: Path) -> bool:
    """Whether a training made this folder: a run beside its data must not become data when it is resumed."""
    return (folder / ".lock").is_file() and (folder / "cache").is_dir()


def _source(name: str, files: list[Path], folder: bool = False) -> Source:
    facts = [path.stat() for path in files]
    lines = [f"{p.resolve()}\0{f.st_size}\0{f.st_mtime_ns}\n" for p, f in zip(files, facts, strict=True)]
    stamp = hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    return Source(name, tuple(f.st_size for f in facts), stamp, tuple(files), folder)


def python_stdlib() -> list[Path]:
    """About 7 MB of Python, the library sources of the running interpreter in ASCII (some 96 different characters).

    They are in the order of a hash of their paths, so that the end of the corpus is a fair sample of the whole.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [file for file in root.rglob("*.py") if _is_module(file.relative_to(root)) and _is_ascii(file)]
    if not files:
        remedy = "use a Python that was installed with its sources"
        raise UserError(f"python-stdlib: no sources under {root}", remedy=remedy)
    return sorted(files, key=lambda file: hashlib.sha256(file.relative_to(root).as_posix().encode()).digest())


def _is_module(path: Path) -> bool:
    generated = path.name.startswith("_sysconfigdata") or any(part.startswith("config-") for part in path.parts)
    return not generated and not LEFT_OUT & set(path.parts)


def _is_ascii(file: Path) -> bool:
    data = file.read_bytes()
    return data.isascii() and b"\0" not in data
