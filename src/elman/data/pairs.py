"""Pairs: where a source text and a target text come from, line by line.

Forms: two parallel text files; TSV with two columns; JSON lines with a string "source" and "target" (each also
as .gz or .zst); pairs in memory; and the endless sources of `elman.data.endless`, which are asked for by name.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from elman.data.recognition import beginning, recognise
from elman.data.sources import NAMED_PAIRS, open_source
from elman.data.textfile import decode, decompress, json_record, lines, mended, open_binary
from elman.errors import UserError, nearest

if TYPE_CHECKING:
    from elman.data.endless import EndlessPairs

TELL_EVERY = 1 << 10  # lines: to ask a file for its position takes longer than to split a line

AnyPairs: TypeAlias = "PairSource | EndlessPairs"
Data: TypeAlias = "str | Path | AnyPairs | Sequence[str | Path]"
"""What holds pairs: a name, a file, a source that is there already, or a file of sources and one of targets."""


class Pair(NamedTuple):
    """A source text and a target text, neither of them empty, and where they stand."""

    source: str
    target: str
    line: int  # from 1
    position: int  # bytes on disk read so far: for progress


@dataclass
class Empty:
    """How many pairs were left out, one side being empty, and the line of the first."""

    count: int = 0
    first: int = 0


@dataclass(frozen=True)
class PairSource:
    """Pairs that have an end. `size` is what positions run to; `stamp` changes when they are changed or moved."""

    name: str
    size: int
    stamp: str
    read: Callable[[], Iterator[Pair]] = field(repr=False, compare=False)
    empty: Empty = field(default_factory=Empty, compare=False)
    """What the latest `pairs()` left out: known once it has come to its end."""

    def pairs(self) -> Iterator[Pair]:
        """The pairs in order; those with an empty side (nothing but white space) are left out.

        Lines that are empty on both sides are passed over and not counted.

        Errors: `UserError` with file and line where a file cannot be read or holds something else than pairs.
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
    """Whether DATA of a command is pairs: two files, TSV of two columns, JSON lines of pairs, a named source of them.

    >>> holds_pairs(["train.en", "train.de"]), holds_pairs(["pairs.tsv.gz"]), holds_pairs(["text.txt"])
    (True, True, False)
    """
    if len(data) != 1:
        return len(data) > 1
    if str(data[0]) in NAMED_PAIRS:
        return True
    path = Path(data[0])
    form = _form([path])
    with suppress(UserError, ValueError, RecursionError):  # whoever reads the file says what is wrong with it
        if form == "tsv":
            return recognise(path.name, beginning(path)) is None
        if form == "jsonl":
            return _is_pair(json.loads(next((line for line, _ in _lines(path) if line.strip()), "")))
    return form == "tsv"


def open_pairs(data: Data) -> AnyPairs:
    """A source of pairs: one name, one file, or two parallel files. Nothing is read yet.

    A source is returned as it is. Errors: `UserError` where there is nothing by that name, or it does not hold pairs.
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
        if not _is(Path.exists, path):
            if len(paths) == 2:
                raise UserError(f"{path}: no such file", exit_code=2)
            what = f"no such file or named source of pairs: {name}"
            raise UserError(what, remedy=nearest(name, NAMED_PAIRS), exit_code=2)
        if _is(Path.is_dir, path, unknown=False):
            raise UserError(str(path), expected="a file of pairs", got="a folder", exit_code=2)
    sources = [open_source(path) for path in paths]
    form = _form(paths)
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
    """A source of pairs that are in no file. Errors: `UserError` where one of them is not two strings."""
    kept, stamp = [], hashlib.sha256()
    for number, pair in enumerate(pairs, 1):
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(side, str) for side in pair)):
            raise UserError(
                f"pair {number}", expected="two strings: (source, target)", got=reprlib.repr(pair), exit_code=2
            )
        kept.append(Pair(mended(pair[0]), mended(pair[1]), number, number))
        stamp.update(b"%b\xff%b\xff" % (kept[-1].source.encode(), kept[-1].target.encode()))
    return PairSource("pairs in memory", len(kept), stamp.hexdigest(), lambda: iter(kept))


def _form(files: Sequence[Path]) -> str:
    if len(files) == 1:
        name = files[0].name.lower().removesuffix(".gz").removesuffix(".zst")
        if name.endswith(".tsv"):
            return "tsv"
        if name.endswith((".jsonl", ".ndjson")):
            return "jsonl"
    return "parallel"


def _parallel(files: Sequence[Path]) -> Iterator[Pair]:
    numbered = enumerate(zip_longest(*map(_lines, files)), 1)
    for number, (source, target) in numbered:
        if source is None or target is None:
            shorter, longer = number - 1, number + sum(1 for _ in numbered)
            raise _unequal(files, number, (shorter, longer) if source is None else (longer, shorter))
        yield Pair(source[0], target[0], number, source[1] + target[1])


def _unequal(files: Sequence[Path], number: int, counts: Sequence[int]) -> UserError:
    longer = files[counts[1] > counts[0]]
    return UserError(
        f"{files[0]} and {files[1]} are not parallel",
        expected="as many lines in both",
        got=f"{counts[0]:,} and {counts[1]:,}",
        remedy=f"line {number} of {longer} is the first without a partner",
    )


def _tsv(files: Sequence[Path]) -> Iterator[Pair]:
    for number, (line, position) in enumerate(_lines(files[0]), 1):
        columns = line.split("\t") if line.strip() else ["", ""]
        if len(columns) != 2:
            raise UserError(f"{files[0]}, line {number}", expected="two columns: source<TAB>target", got=len(columns))
        yield Pair(columns[0], columns[1], number, position)


def _jsonl(files: Sequence[Path]) -> Iterator[Pair]:
    for number, (line, position) in enumerate(_lines(files[0]), 1):
        if not line.strip():
            continue
        where = f"{files[0]}, line {number}"
        record = json_record(line, where)
        if not _is_pair(record):
            got = "keys " + ", ".join(map(str, list(record)[:5])) if isinstance(record, dict) else type(record).__name__
            raise UserError(where, expected='an object with strings "source" and "target"', got=got)
        source, target = (mended(record[key]) for key in ("source", "target"))
        yield Pair(source, target, number, position)


_READERS = {"parallel": _parallel, "tsv": _tsv, "jsonl": _jsonl}


def _is_pair(record: Any) -> bool:
    return isinstance(record, dict) and all(isinstance(record.get(key), str) for key in ("source", "target"))


def _is(test: Callable[[Path], bool], path: Path, unknown: bool = True) -> bool:
    """What the system says of a path; `unknown` where it refuses: `open_source` says what is wrong with it."""
    try:
        return test(path)
    except OSError:
        return unknown


def _lines(path: Path) -> Iterator[tuple[str, int]]:
    """The lines of a file, and the position after each; nothing follows the last line's end."""
    with open_binary(path) as raw:
        position = 0
        for number, line in enumerate(_without_last_if_empty(lines(decode(decompress(raw, path), path)))):
            if number % TELL_EVERY == 0:
                position = raw.tell()
            yield line, position


def _without_last_if_empty(texts: Iterable[str]) -> Iterator[str]:
    held = None
    for text in texts:
        if held is not None:
            yield held
        held = text
    if held:
        yield held
