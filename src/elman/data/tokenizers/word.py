"""One token a word, as the Penn Treebank and WikiText tables are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from elman.data.tokenizers.tokenizer import EOS, UNK, Ids, Tokenizer

MOST_WORDS = 4_000_000  # counted at a time: about half a gigabyte of RAM


class WordTokenizer(Tokenizer):
    """White space separates words; a line's end is `<eos>`, and a word out of vocabulary is `<unk>`.

    A text that spells `<unk>` or `<eos>` out (as the Penn Treebank's does) means these tokens. Ids: `<eos>`,
    `<unk>`, the words in order, then `<eod>`.

    >>> tokenizer = WordTokenizer(["the", "cat"])
    >>> tokenizer.encode("the  cat\\n<unk> dog").tolist(), tokenizer.decode([2, 3, 0, 2])
    ([2, 3, 0, 1, 1], 'the cat\\nthe')
    """

    kind, smallest = "word", 3
    contents: ClassVar = {"words": list[str]}

    def __init__(self, words: list[str], *, eod: bool = False):
        super().__init__(2 + len(words), eos=0, unk=1, eod=eod)
        self.words = words
        self._ids = {word: token for token, word in enumerate([EOS, UNK, *words])}

    @classmethod
    def train(cls, texts: Iterable[str], *, max_vocab: int, min_count: int = 1, eod: bool = False) -> WordTokenizer:
        """The most frequent words, most frequent first; `max_vocab` counts the specials too."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text.split())
            if len(counts) > MOST_WORDS:
                counts = _without_rarest(counts, MOST_WORDS // 2)
        del counts[EOS], counts[UNK]
        kept = [(-count, word) for word, count in counts.items() if count >= min_count]
        return cls([word for _, word in sorted(kept)[: max_vocab - 2 - eod]], eod=eod)

    def encode_array(self, text: str) -> Ids:
        """One id a word or line's end."""
        words = text.replace("\n", f" {EOS} ").split()
        find, unk = self._ids.get, self.unk
        return np.fromiter((find(word, unk) for word in words), self.dtype, count=len(words))

    def spell(self, token: int, previous: int | None) -> bytes:
        """The word, after a space where the word does not begin a line."""
        if token == self.eos:
            return b"\n"
        word = UNK if token == self.unk else self.words[token - 2]
        return (word if previous in (None, self.eos, self.eod) else f" {word}").encode()


def _without_rarest(counts: Counter[str], most: int) -> Counter[str]:
    """At most `most` words: so that a corpus of any size is counted in bounded memory."""
    rarest = 1
    while len(counts) > most:
        counts = Counter({word: count for word, count in counts.items() if count > rarest})
        rarest += 1
    return counts
