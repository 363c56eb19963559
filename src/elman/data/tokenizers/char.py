"""One token a character."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.data.tokenizers.tokenizer import EOD, UNK, Ids, Tokenizer, check_range, visible
from elman.reading import check_type


class CharTokenizer(Tokenizer):
    """Every character (Unicode code point) of a vocabulary is a token; all others are `<unk>`.

    Ids follow the order of `characters`; then `<unk>`, then `<eod>`.

    >>> tokenizer = CharTokenizer("abc")
    >>> tokenizer.encode("cabx").tolist(), tokenizer.decode([0, 1])
    ([2, 0, 1, 3], 'ab')
    """

    kind = "char"

    def __init__(self, characters: str, *, eod: bool = False):
        super().__init__(len(characters) + 1, unk=len(characters), eod=eod)
        self.characters = characters
        points = code_points(characters)
        # One entry past the highest character: every higher code point is clipped to it.
        self._table = np.full(int(points.max(initial=0)) + 2, self.unk, self.dtype)
        self._table[points] = np.arange(len(characters))

    @classmethod
    def train(cls, texts: Iterable[str], *, max_vocab: int, min_count: int = 1, eod: bool = False) -> CharTokenizer:
        """The most frequent characters, in the order of their code points; `max_vocab` counts specials too."""
        check_range(max_vocab, 2 + eod, cls.kind)
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
        """The character; U+FFFD for `<unk>`, nothing for `<eod>`."""
        if token == self.eod:
            return b""
        return ("\ufffd" if token == self.unk else self.characters[token]).encode()

    def symbol(self, token: int) -> str:
        """The character, white space made visible."""
        if token >= len(self.characters):
            return UNK if token == self.unk else EOD
        return visible(self.characters[token])

    def contents(self) -> dict[str, Any]:
        """The characters in order."""
        return {"characters": self.characters}

    @classmethod
    def from_contents(cls, contents: dict[str, Any], *, eod: bool) -> CharTokenizer:
        """The inverse of `contents`. Raises `UserError` where they are of another type."""
        check_type(contents["characters"], str, "characters")
        return cls(contents["characters"], eod=eod)


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
