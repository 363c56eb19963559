"""Words as the n-grams of their characters, so that a word that training never saw is not lost."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from elman.data.tokenizers import Tokenizer
from elman.data.tokenizers.word import parts
from elman.reading import Unreadable, read_json

BUCKETS = 20_000
SHORTEST, LONGEST = 3, 5  # characters, with the marks of a word's begin and end among them
MOST = 24  # n-grams of a word; longer words have as many, evenly spread
CACHED = 1 << 18  # words whose n-grams are remembered


@dataclass(frozen=True)
class WordNgrams:
    """Each word of a text as the numbers of its n-grams: <ca, cat, at>, <cat, cat>, <cat> of "cat".

    An n-gram's number is a hash, from 1 to `buckets`; 0 is no n-gram. Two n-grams may share a number. Bojanowski et al.
    2017, "Enriching word vectors with subword information". Punctuation before and after a word is a word.
    """

    buckets: int = BUCKETS
    kind: ClassVar[str] = "ngrams"
    unk: ClassVar[int] = 0
    _known: dict[str, npt.NDArray[np.int32]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def vocab_size(self) -> int:
        """The numbers from 0 on."""
        return self.buckets + 1

    def encode_array(self, text: str) -> npt.NDArray[np.int32]:
        """Numbers (T, 24) of the n-grams of T words; a text without words is read as one without n-grams."""
        rows = [self._numbers(word) for word in self.words(text)]
        return np.stack(rows) if rows else np.zeros((1, MOST), np.int32)

    def words(self, text: str) -> list[str]:
        """The words of a text."""
        return [part for word in text.split() for part in parts(word)]

    def _numbers(self, word: str) -> npt.NDArray[np.int32]:
        if word not in self._known:
            if len(self._known) >= CACHED:
                self._known.clear()
            found = [1 + zlib.crc32(ngram.encode()) % self.buckets for ngram in ngrams(word)]
            kept = (
                found if len(found) <= MOST else [found[at] for at in np.linspace(0, len(found) - 1, MOST).astype(int)]
            )
            self._known[word] = np.pad(np.array(kept, np.int32), (0, MOST - len(kept)))
        return self._known[word]

    def to_json(self) -> dict[str, Any]:
        """Everything that the numbers follow from."""
        return {"kind": self.kind, "buckets": self.buckets}

    @classmethod
    def read(cls, path: Path) -> WordNgrams:
        """The inverse of `to_json`, from a file. Raises `UserError` where it is missing or damaged."""
        found = read_json(path, dict[str, Any])
        if found.get("kind") != cls.kind or not isinstance(found.get("buckets"), int) or found["buckets"] < 1:
            raise Unreadable(f"{path} is damaged (no n-grams of words)")
        return cls(found["buckets"])


TextCodec = Tokenizer | WordNgrams


def ngrams(word: str) -> list[str]:
    """The different n-grams of a word between its marks; of one that is too short for any, the whole.

    >>> ngrams("cat"), ngrams("a")
    (['<ca', 'cat', 'at>', '<cat', 'cat>', '<cat>'], ['<a>'])
    """
    marked = f"<{word}>"
    sizes = range(SHORTEST, LONGEST + 1)
    return [*dict.fromkeys(marked[at : at + n] for n in sizes for at in range(len(marked) - n + 1))]
