"""Words as the numbers of the n-grams of their characters."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from elman_runner.errors import RunnerError
from elman_runner.reading import take
from elman_runner.tokenizers import parts

SHORTEST, LONGEST = 3, 5  # characters
MOST = 24  # n-grams of a word; longer words have as many, evenly spread


class WordNgrams:
    """Words as the hashes, from 1 to `buckets`, of <ca, cat, at>, <cat, cat>, <cat> of "cat"."""

    def __init__(self, data: dict[str, Any], where: str) -> None:
        self.buckets: int = take(data, "buckets", int, where)
        if self.buckets < 1:
            raise RunnerError(f"{where} is damaged (no n-grams of words)")

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """Numbers (T, 24); a text without words is read as one without n-grams."""
        words = [part for word in text.split() for part in parts(word)]
        return np.array([self._numbers(word) for word in words] or [[0] * MOST], np.int64)

    def _numbers(self, word: str) -> list[int]:
        marked = f"<{word}>"
        sizes = range(SHORTEST, LONGEST + 1)
        different = dict.fromkeys(marked[at : at + n] for n in sizes for at in range(len(marked) - n + 1))
        found = [1 + zlib.crc32(each.encode("utf-8", "replace")) % self.buckets for each in different]
        if len(found) > MOST:
            found = [found[at] for at in np.linspace(0, len(found) - 1, MOST).astype(int)]
        return found + [0] * (MOST - len(found))
