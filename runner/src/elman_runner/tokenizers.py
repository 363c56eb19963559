"""Text to numbers and back, as elman's tokenizers do it: the same numbers, the same text."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any
from unicodedata import category

import numpy as np
import numpy.typing as npt

from elman_runner.errors import RunnerError
from elman_runner.reading import take

Ids = npt.NDArray[np.int64]
EOS, UNK = "<eos>", "<unk>"


class Tokenizer:
    """Numbers in `range(vocab_size)`. `unk`, `eos` and `eod` are special ones, None where there is none."""

    def __init__(self, size: int, *, unk: int | None = None, eos: int | None = None, eod: bool = False) -> None:
        self.unk, self.eos = unk, eos
        self.eod = size if eod else None
        self.vocab_size = size + eod

    def encode(self, text: str) -> Ids:
        """The numbers of a text (T,)."""
        raise NotImplementedError

    def spell(self, token: int, previous: int | None) -> bytes:
        """The UTF-8 bytes that a token other than `eod` adds after the token `previous`."""
        raise NotImplementedError

    @property
    def start(self) -> int:
        """The token that a text without a prompt begins with: `eod`, else a line's end, else 0."""
        if self.eod is not None:
            return self.eod
        newline = self.encode("\n")
        return 0 if not len(newline) or newline[0] == self.unk else int(newline[0])

    def decode(self, ids: Iterable[int]) -> str:
        """The text of numbers; bytes that are not UTF-8 become U+FFFD."""
        decoder = StreamDecoder(self)
        return "".join([decoder.push(int(token)) for token in ids]) + decoder.finish()


class StreamDecoder:
    """Decodes token by token, after the token `previous`; the bytes of an unfinished character are held back."""

    def __init__(self, tokenizer: Tokenizer, previous: int | None = None, unfinished: bytes = b"") -> None:
        self._tokenizer, self._previous = tokenizer, previous
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._utf8.decode(unfinished)

    @property
    def unfinished(self) -> bytes:
        """The bytes that are held back."""
        return self._utf8.getstate()[0]

    def push(self, token: int) -> str:
        """The text that this token completes."""
        spelt = b"" if token == self._tokenizer.eod else self._tokenizer.spell(token, self._previous)
        self._previous = token
        return self._utf8.decode(spelt)

    def finish(self) -> str:
        """U+FFFD if a character was left unfinished."""
        return self._utf8.decode(b"", final=True)


class Characters(Tokenizer):
    """A token a character; others are unknown."""

    def __init__(self, data: dict[str, Any], where: str) -> None:
        self.characters: str = take(data, "characters", str, where)
        super().__init__(len(self.characters) + 1, unk=len(self.characters), eod=take(data, "eod", bool, where))
        points = _code_points(self.characters)
        self._table = np.full(int(points.max(initial=0)) + 2, self.unk, np.int64)
        self._table[points] = np.arange(len(points))

    def encode(self, text: str) -> Ids:
        """A number a character."""
        return self._table[np.minimum(_code_points(text), len(self._table) - 1)]

    def spell(self, token: int, previous: int | None) -> bytes:
        """The character; U+FFFD for the unknown."""
        return ("\ufffd" if token == self.unk else self.characters[token]).encode("utf-8", "replace")


class Bytes(Tokenizer):
    """A token a byte."""

    def __init__(self, data: dict[str, Any], where: str) -> None:
        super().__init__(256, eod=take(data, "eod", bool, where))

    def encode(self, text: str) -> Ids:
        """A number a byte."""
        return np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64)

    def spell(self, token: int, previous: int | None) -> bytes:
        """The byte."""
        return bytes([token])


class Words(Tokenizer):
    """A token a word between white space; a line's end is `<eos>`."""

    def __init__(self, data: dict[str, Any], where: str) -> None:
        self.words: list[str] = take(data, "words", list[str], where)
        self.punctuation: bool = take({"punctuation": False, **data}, "punctuation", bool, where)
        super().__init__(2 + len(self.words), eos=0, unk=1, eod=take(data, "eod", bool, where))
        self._ids = {word: token for token, word in enumerate([EOS, UNK, *self.words])}

    def encode(self, text: str) -> Ids:
        """A number a word or line's end."""
        words = text.replace("\n", f" {EOS} ").split()
        words = [part for word in words for part in parts(word)] if self.punctuation else words
        return np.array([self._ids.get(word, self.unk) for word in words], np.int64)

    def spell(self, token: int, previous: int | None) -> bytes:
        """The word, after a space where the word does not begin a line."""
        if token == self.eos:
            return b"\n"
        word = UNK if token == self.unk else self.words[token - 2]
        begins = previous is None or previous in (self.eos, self.eod)
        return (word if begins else f" {word}").encode("utf-8", "replace")


class Vocabulary(Tokenizer):
    """The tokens of another program, in its order: words between white space, or characters."""

    def __init__(self, data: dict[str, Any], where: str) -> None:
        self.tokens: list[str] = take(data, "tokens", list[str], where)
        self.characters: bool = take(data, "characters", bool, where)
        self.lowercase: bool = take(data, "lowercase", bool, where)
        self.skips: bool = take(data, "skips", bool, where)
        eos = self.tokens.index(EOS) if EOS in self.tokens and not self.characters else None
        unk, eod = take(data, "unknown", int | None, where), take(data, "eod", bool, where)
        super().__init__(len(self.tokens), unk=unk, eos=eos, eod=eod)
        self._spaces = str.maketrans(dict.fromkeys(take(data, "ignored", str, where), " "))
        self._ids = {token: number for number, token in reversed([*enumerate(self.tokens)])}

    def encode(self, text: str) -> Ids:
        """A number a word or character. Raises `RunnerError` for one that nothing stands for."""
        text = (text.lower() if self.lowercase else text).translate(self._spaces)
        parts: Sequence[str] = text
        if not self.characters:
            parts = (text if self.eos is None else text.replace("\n", f" {EOS} ")).split()
        found = [self._ids.get(part, self.unk) for part in parts]
        if None in found and not self.skips:
            raise RunnerError(f"expected tokens of the vocabulary alone, got {parts[found.index(None)]!r:.60}")
        return np.array([number for number in found if number is not None], np.int64)

    def spell(self, token: int, previous: int | None) -> bytes:
        """The token, after a space where it is a word that does not begin a line."""
        if token == self.eos:
            return b"\n"
        begins = self.characters or previous is None or previous in (self.eos, self.eod)
        return f"{'' if begins else ' '}{self.tokens[token]}".encode("utf-8", "replace")

    @property
    def start(self) -> int:
        """A line's end, else 0."""
        return self._ids.get("\n", 0) if self.eos is None else self.eos


KINDS: dict[str, Callable[[dict[str, Any], str], Tokenizer]] = {
    "char": Characters,
    "byte": Bytes,
    "word": Words,
    "bpe": lambda data, where: import_module("elman_runner.library").BytePairs(data, where),
    "library": lambda data, where: import_module("elman_runner.library").AnyOfLibrary(data, where),
    "vocabulary": Vocabulary,
}


def make_tokenizer(data: dict[str, Any], where: str) -> Tokenizer:
    """The tokenizer of a codec's JSON. Raises `RunnerError`."""
    kind = take(data, "kind", str, where)
    if kind not in KINDS:
        raise RunnerError(f"{where}: expected a tokenizer of {', '.join(KINDS)}, got {kind!r:.40}")
    return KINDS[kind](data, where)


def parts(word: str) -> Sequence[str]:
    """The marks before a word, the word, and the marks after it."""
    if word.isalnum() or word in (EOS, UNK):
        return (word,)
    start, stop = 0, len(word)
    while start < stop and category(word[start])[0] in "PS":
        start += 1
    while start < stop and category(word[stop - 1])[0] in "PS":
        stop -= 1
    return (*word[:start], *([word[start:stop]] if start < stop else ()), *word[stop:])


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
