"""Word vectors from a text file, such as those of word2vec, GloVe and fastText: a word and its numbers a line.

A first line with two whole numbers alone, how many words and how many numbers, is that of word2vec's format. A word may
hold spaces, as some of GloVe's do: the numbers are the last fields of a line. Files may be compressed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from elman.data.textfile import decode, decompress, lines, open_binary
from elman.errors import UserError


def read_words(path: str | Path) -> list[str]:
    """The words of a file of vectors, each once, in its order. Raises `UserError` as `read_vectors`."""
    return list(dict.fromkeys(word for word, _ in _rows(Path(path))))


def read_vectors(path: str | Path, names: Sequence[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Vectors (N, D) of the words `names`, and which of them (N,) the file has; those that it lacks are zeros.

    A word that the file lacks has the vector of its lower case, if there is one. Of a word twice, the first counts.

    Raises:
        UserError: no such file, no text, or a line with another number of fields than the first, or with words in place
            of numbers.
    """
    wanted = dict.fromkeys(names)
    lowered = {name.lower() for name in names}
    found: dict[str, npt.NDArray[np.float32]] = {}
    for word, vector in _rows(Path(path)):
        if (word in wanted or word in lowered) and word not in found:
            found[word] = vector
    size = len(next(iter(found.values()))) if found else vector_size(path)
    vectors = np.zeros((len(names), size), np.float32)
    known = np.zeros(len(names), np.bool_)
    for at, name in enumerate(names):
        spelt = name if name in found else name.lower()
        if spelt in found:
            vectors[at], known[at] = found[spelt], True
    return vectors, known


def vector_size(path: str | Path) -> int:
    """How many numbers a vector of the file has."""
    return len(next(_rows(Path(path)))[1])


def _rows(path: Path) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    size, empty = 0, True
    with open_binary(path) as raw:
        for number, line in enumerate(lines(decode(decompress(raw, path), path)), start=1):
            fields = line.rstrip().split("\t" if "\t" in line else " ")
            if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
                size = int(fields[1])
                continue
            if not line.strip():
                continue
            size = size or _numbers_at_the_end(fields)
            try:
                vector = np.array(fields[-size:], np.float32)
                if len(fields) <= size or not np.isfinite(vector).all():
                    raise ValueError
            except ValueError:
                expected = f"a word and {size} numbers" if size else "a word and its numbers"
                remedy = "the file of vectors is damaged there, or is another kind of file"
                what = f"{path}, line {number}"
                raise UserError(what, expected=expected, got=repr(line[:60]), remedy=remedy) from None
            empty = False
            yield " ".join(fields[:-size]), vector
    if empty:
        raise UserError(f"{path}", expected="a word and its numbers a line", got="no line")


def _numbers_at_the_end(fields: Sequence[str]) -> int:
    """How many fields after the first are numbers, counted from the last one."""
    count = 0
    for field in reversed(fields[1:]):
        try:
            float(field)
        except ValueError:
            break
        count += 1
    return count
