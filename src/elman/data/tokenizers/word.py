"""One token a word, as the Penn Treebank and WikiText tables are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar
from unicodedata import category

import numpy as np

from elman.data.tokenizers.tokenizer import EOS, UNK, Ids, Tokenizer
from elman.reading import check_type

MOST_WORDS = 4_000_000  # counted at a time: about half a gigabyte of RAM


class WordTokenizer(Tokenizer):
    """White space separates words; a line's end is `<eos>`, and a word out of vocabulary is `<unk>`.

    A text that spells `<unk>` or `<eos>` out (as the Penn Treebank's does) means these tokens. Ids: `<eos>`,
    `<unk>`, the words in order, then `<eod>`. With `punctuation`, each mark before or after a word is a word.

    >>> tokenizer = WordTokenizer(["the", "cat"])
    >>> tokenizer.encode("the  cat\\n<unk> dog").tolist(), tokenizer.decode([2, 3, 0, 2])
    ([2, 3, 0, 1, 1], 'the cat\\nthe')
    >>> WordTokenizer(["don't", "!"], punctuation=True).encode("Don't don't!!").tolist()
    [1, 2, 3, 3]
    """

    kind, smallest = "word", 3
    contents: ClassVar = {"words": list[str]}

    def __init__(self, words: list[str], *, eod: bool = False, punctuation: bool = False):
        super().__init__(2 + len(words), eos=0, unk=1, eod=eod)
        self.words, self.punctuation = words, punctuation
        self._ids = {word: token for token, word in enumerate([EOS, UNK, *words])}

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        *,
        max_vocab: int,
        min_count: int = 1,
        eod: bool = False,
        punctuation: bool = False,
    ) -> WordTokenizer:
        """The most frequent words, most frequent first; `max_vocab` counts the specials too."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(_words(text, punctuation))
            if len(counts) > MOST_WORDS:
                counts = _without_rarest(counts, MOST_WORDS // 2)
        del counts[EOS], counts[UNK]
        kept = [(-count, word) for word, count in counts.items() if count >= min_count]
        return cls([word for _, word in sorted(kept)[: max_vocab - 2 - eod]], eod=eod, punctuation=punctuation)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WordTokenizer:
        """The inverse of `to_json`."""
        punctuation = data.get("punctuation", False)
        check_type(punctuation, bool, "punctuation")
        plain = super().from_json(data)
        assert isinstance(plain, WordTokenizer)
        plain.punctuation = punctuation
        return plain

    def to_json(self) -> dict[str, Any]:
        """Everything about the tokenizer."""
        return super().to_json() | ({"punctuation": True} if self.punctuation else {})

    def encode_array(self, text: str) -> Ids:
        """One id a word or line's end."""
        words = _words(text.replace("\n", f" {EOS} "), self.punctuation)
        find, unk = self._ids.get, self.unk
        return np.fromiter((find(word, unk) for word in words), self.dtype, count=len(words))

    def spell(self, token: int, previous: int | None) -> bytes:
        """The word, after a space where the word does not begin a line."""
        if token == self.eos:
            return b"\n"
        word = UNK if token == self.unk else self.words[token - 2]
        return (word if previous in (None, self.eos, self.eod) else f" {word}").encode()


def _words(text: str, punctuation: bool) -> list[str]:
    words = text.split()
    return [part for word in words for part in parts(word)] if punctuation else words


def parts(word: str) -> Iterable[str]:
    """The marks before a word, the word, and the marks after it."""
    if word.isalnum() or word in (EOS, UNK):
        return (word,)
    start, stop = 0, len(word)
    while start < stop and category(word[start])[0] in "PS":  # punctuation and symbols
        start += 1
    while start < stop and category(word[stop - 1])[0] in "PS":
        stop -= 1
    return (*word[:start], *([word[start:stop]] if start < stop else ()), *word[stop:])


def _without_rarest(counts: Counter[str], most: int) -> Counter[str]:
    """At most `most` words: so that a corpus of any size is counted in bounded memory."""
    rarest = 1
    while len(counts) > most:
        counts = Counter({word: count for word, count in counts.items() if count > rarest})
        rarest += 1
    return counts
