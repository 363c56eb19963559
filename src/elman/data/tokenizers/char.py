"""One token a character."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from elman.data.tokenizers.tokenizer import Ids, Tokenizer


class CharTokenizer(Tokenizer):
    """Every character (Unicode code point) of a vocabulary is a token; all others are `<unk>`.

    Ids follow the order of `characters`; then `<unk>`, then `<eod>`.

    >>> tokenizer = CharTokenizer("abc")
    >>> tokenizer.encode("cabx").tolist(), tokenizer.decode([0, 1])
    ([2, 0, 1, 3], 'ab')
    """

    kind, smallest = "char", 2
    contents: ClassVar = {"characters": str}

    def __init__(self, characters: str, *, eod: bool = False):
        super().__init__(len(characters) + 1, unk=len(characters), eod=eod)
        self.characters = characters
        self._spelt = [character.encode() for character in (*characters, "\ufffd")]
        points = code_points(characters)
        # One entry past the highest character: every higher code point is clipped to it.
        self._table = np.full(int(points.max(initial=0)) + 2, self.unk, self.dtype)
        self._table[points] = np.arange(len(characters))

    @classmethod
    def train(cls, texts: Iterable[str], *, max_vocab: int, min_count: int = 1, eod: bool = False) -> CharTokenizer:
        """The most frequent characters, in the order of their code points; `max_vocab` counts specials too."""
        counts = np.zeros(1, np.int64)
        for text in texts:
            new = np.bincount(code_points(text))
            if len(new) > len(counts):
                counts, new = new, counts
            counts[: len(new)] += new
        points = np.flatnonzero(counts >= max(min_count, 1))
        kept = np.sort(points[np.argsort(-counts[points], kind="stable")][: max_vocab - 1 - eod])
        return cls("".join(map(chr, kept)), eod=eod)

    def encode_array(self, text: str) -> Ids:
        """One id a character."""
        return self._table[np.minimum(code_points(text), len(self._table) - 1)]

    def spell(self, token: int, previous: int | None) -> bytes:
        """The character; U+FFFD for `<unk>`."""
        return self._spelt[token]


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
