"""Sources of pairs: a source text and a target text each.

Pairs come from two parallel text files; TSV with two columns; JSON lines with strings "source" and "target" (each also
as .gz or .zst); memory; or an endless source of `elman.data.endless`, by its name.
"""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from elman.data import structures
from elman.data.recognition import beginning, recognise
from elman.data.sources import NAMED_PAIRS, open_source
from elman.data.textfile import JSON_LINES, decode, decompress, json_strings, lines, mended, open_binary, uncompressed
from elman.errors import UserError, nearest
from elman.wording import record_place

if TYPE_CHECKING:
    from elman.data.endless import EndlessPairs

TELL_EVERY = 1 << 10  # lines, because a file's `tell` takes longer than the reading of a line

AnyPairs: TypeAlias = "PairSource | EndlessPairs"
Data: TypeAlias = "str | Path | AnyPairs | Sequence[str | Path]"
"""A name, a file, a file of sources and a file of targets, or a source of pairs."""


class Pair(NamedTuple):
    """A source text and a target text, and their place."""

    source: str
    target: str
    line: int  # from 1
    position: int  # bytes on disk that were read before, for progress


@dataclass
class Empty:
    """Pairs that were left out because one side is empty."""

    count: int = 0
    first: int = 0  # its line


@dataclass(frozen=True)
class PairSource:
    """Finitely many pairs. Positions run to `size`; `stamp` changes when the pairs are changed or moved."""

    name: str
    size: int
    stamp: str
    read: Callable[[], Iterator[Pair]] = field(repr=False, compare=False)
    empty: Empty = field(default_factory=Empty, compare=False)
    """The pairs that the latest `pairs()` left out; complete after the last pair."""

    def pairs(self) -> Iterator[Pair]:
        """The pairs in order, without those that have an empty side (white space alone).

        Lines with two empty sides are not counted as left out.
        Errors: `UserError` with file and line where a file cannot be read or a line is no pair.
        """
        self.empty.count = self.empty.first = 0
        for pair in self.read():
            source, target = pair.source.strip(), pair.target.strip()
            if source and target:
                yield pair
            elif source or target:
                self.empty.count += 1
                self.empty.first = self.empty.first or pair.line


def holds_pairs(data: Sequence[str | Path]) -> bool:
    """Whether a command's DATA are pairs: two files, TSV of two columns, JSON lines of pairs, a named source of pairs.

    >>> holds_pairs(["train.en", "train.de"]), holds_pairs(["pairs.tsv.gz"]), holds_pairs(["text.txt"])
    (True, True, False)
    """
    if len(data) != 1:
        return len(data) > 1 and structures.series_and_labels(data) is None
    if str(data[0]) in NAMED_PAIRS:
        return True
    path = Path(data[0])
    form = _form([path])
    with suppress(ValueError):  # the reader of the file reports the error
        if form == "tsv":
            others = recognise(path.name, beginning(path)), structures.labelled(data), structures.series_table(data)
            return others == (None, None, None)
        if form == "jsonl":
            return next(_jsonl([path]), None) is not None
    return form == "tsv"


def open_pairs(data: Data) -> AnyPairs:
    """A source of pairs, of which nothing is read yet; a source is returned as it is.

    Errors: `UserError` where there is no such file or name, or it does not hold pairs.
    """
    if not isinstance(data, str | Path | Sequence):
        return data
    data = [data] if isinstance(data, str | Path) else list(data)
    if len(data) == 1 and str(data[0]) in NAMED_PAIRS:
        from elman.data.endless import named_pairs

        return named_pairs(str(data[0]))
    name = " and ".join(map(str, data))
    if not 1 <= len(data) <= 2:
        raise UserError("pairs", expected="one file, or one of sources and one of targets", got=name, exit_code=2)
    paths = [Path(path) for path in data]
    for path in paths:
        if len(paths) == 2 and str(path) in NAMED_PAIRS:
            raise UserError(f"{path} has targets of its own", remedy="give it alone", exit_code=2)
        with suppress(OSError):  # `open_source` reports the system's refusal
            if path.is_dir():
                raise UserError(str(path), expected="a file of pairs", got="a folder", exit_code=2)
            if not path.exists() and len(paths) == 2:
                raise UserError(f"{path}: no such file", exit_code=2)
            if not path.exists():
                what, remedy = f"no such file or named source of pairs: {name}", nearest(name, NAMED_PAIRS)
                raise UserError(what, remedy=remedy, exit_code=2)
    sources, form = [open_source(path) for path in paths], _form(paths)
    if len(paths) == 1 and form == "parallel":
        raise UserError(
            f"{name} is not a file of pairs",
            expected="a .tsv, a .jsonl, or a named source",
            got="one text",
            remedy="give a second file with its targets",
            exit_code=2,
        )
    stamp = hashlib.sha256("".join(source.stamp for source in sources).encode()).hexdigest()
    return PairSource(name, sum(source.size for source in sources), stamp, partial(_READERS[form], paths))


def pairs_in_memory(pairs: Iterable[tuple[str, str]]) -> PairSource:
    """A source of pairs in memory. Errors: `UserError` where a pair is not two strings."""
    kept, stamp = [], hashlib.sha256()
    for number, pair in enumerate(pairs, 1):
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(side, str) for side in pair)):
            expected = "two strings: (source, target)"
            raise UserError(f"pair {number}", expected=expected, got=reprlib.repr(pair), exit_code=2)
        kept.append(Pair(mended(pair[0]), mended(pair[1]), number, number))
        stamp.update(b"%b\xff%b\xff" % (kept[-1].source.encode(), kept[-1].target.encode()))
    return PairSource("pairs in memory", len(kept), stamp.hexdigest(), lambda: iter(kept))


def _form(files: Sequence[Path]) -> str:
    name = uncompressed(files[0]) if len(files) == 1 else ""
    if name.endswith(".tsv"):
        return "tsv"
    return "jsonl" if name.endswith(JSON_LINES) else "parallel"


def _parallel(files: Sequence[Path]) -> Iterator[Pair]:
    numbered = enumerate(zip_longest(*map(_lines, files)), 1)
    for number, (source, target) in numbered:
        if source is None or target is None:
            shorter, longer = number - 1, number + sum(1 for _ in numbered)
            counts = (shorter, longer) if source is None else (longer, shorter)
            raise UserError(
                f"{files[0]} and {files[1]} are not parallel",
                expected="as many lines in both",
                got=f"{counts[0]:,} and {counts[1]:,}",
                remedy=f"line {number} of {files[source is None]} is the first without a partner",
            )
        yield Pair(source[0], target[0], number, source[1] + target[1])


def _tsv(files: Sequence[Path]) -> Iterator[Pair]:
    for number, (line, position) in enumerate(_lines(files[0]), 1):
        columns = line.split("\t") if line.strip() else ["", ""]
        if len(columns) != 2:
            raise UserError(f"{files[0]}, line {number}", expected="two columns: source<TAB>target", got=len(columns))
        yield Pair(columns[0], columns[1], number, position)


def _jsonl(files: Sequence[Path]) -> Iterator[Pair]:
    for number, (line, position) in enumerate(_lines(files[0]), 1):
        if line.strip():
            source, target = json_strings(line, record_place(files[0], number), "source", "target")
            yield Pair(source, target, number, position)


_READERS = {"parallel": _parallel, "tsv": _tsv, "jsonl": _jsonl}


def _lines(path: Path) -> Iterator[tuple[str, int]]:
    """The lines of a file, and the position after each."""
    with open_binary(path) as raw:
        position = 0
        for number, line in enumerate(lines(decode(decompress(raw, path), path))):
            if number % TELL_EVERY == 0:
                position = raw.tell()
            yield line, position
