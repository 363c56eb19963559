"""One token a byte of UTF-8."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from elman.data.tokenizers.tokenizer import Ids, Tokenizer


class ByteTokenizer(Tokenizer):
    """The 256 bytes: nothing to learn, nothing unknown, any language.

    >>> ByteTokenizer().encode("é").tolist()
    [195, 169]
    """

    kind, smallest = "byte", 0

    def __init__(self, *, eod: bool = False):
        super().__init__(256, eod=eod)

    @classmethod
    def train(cls, texts: Iterable[str], *, max_vocab: int, min_count: int = 1, eod: bool = False) -> ByteTokenizer:
        """There is nothing to learn: `texts` is not read."""
        return cls(eod=eod)

    def encode_array(self, text: str) -> Ids:
        """One id a byte."""
        return np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(self.dtype)

    def spell(self, token: int, previous: int | None) -> bytes:
        """The byte."""
        return bytes([token])
