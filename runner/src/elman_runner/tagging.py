"""A tagger: a tag for each word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from elman_runner.crf import CRF
from elman_runner.errors import RunnerError
from elman_runner.folder import Folder
from elman_runner.graph import Array, Memory
from elman_runner.reading import take
from elman_runner.sampling import softmax
from elman_runner.spans import LETTERS, Span, spans_of


class Tagged(NamedTuple):
    """The tags of words, and the probability (T, K) of each tag in the order of the model's `tags`."""

    tags: list[str]
    probabilities: npt.NDArray[np.float64]


class Tagger:
    """Tags of whole sentences; of a model that is causal, word by word too."""

    def __init__(self, folder: Folder) -> None:
        self.graph, self.place = folder.graph(), folder.place
        self.tags: list[str] = folder.told("tags", list[str])
        self.scheme: str | None = folder.told("scheme", str | None)
        if self.scheme is not None and self.scheme not in LETTERS:
            raise RunnerError(f"{folder.place}: scheme: expected {' or '.join(LETTERS)}, got {self.scheme!r:.40}")
        self.unknown: int = folder.told("unknown", int)
        self.padding: int = folder.told("padding", int)
        self.longest: int = folder.told("longest_word", int | None) or 0
        crf = folder.told("crf", dict | None)
        self.crf = CRF(crf, len(self.tags), f"{folder.place}, answer, crf,") if crf else None
        self.word_by_word: bool = folder.causal and self.crf is None
        self.spelled = "characters" in self.graph.inputs
        self.graph.check(["tokens", *(["characters"] if self.spelled else [])], ["logits"])
        self.words = _Vocabulary(folder, "words", self.unknown)
        self.characters = _Vocabulary(folder, "characters", self.unknown) if self.spelled else None

    def tag(self, sentence: str | Sequence[str]) -> Tagged:
        """The tags of a sentence: words, or a text in which blanks part them."""
        words = sentence.split() if isinstance(sentence, str) else list(sentence)
        if not words:
            return Tagged([], np.zeros((0, len(self.tags))))
        scores, _ = self._read(words, self.graph.fresh(1))
        return self._said(scores)

    def step(self, word: str, memory: Memory | None = None) -> tuple[Tagged, Memory]:
        """The tag of the next word of a sentence, and the memory after it; None begins a sentence."""
        if not self.word_by_word:
            raise RunnerError("this model needs the whole sentence: it cannot tag word by word")
        scores, memory = self._read([word], self.graph.fresh(1) if memory is None else memory)
        return self._said(scores), memory

    def spans(self, tags: Sequence[str]) -> list[Span]:
        """The spans that the tags of a sentence spell; none where the tags of the training spelt none."""
        return [] if self.scheme is None else spans_of(tags, self.scheme)

    def count_unknown(self, words: Sequence[str]) -> int:
        """How many words the model does not know."""
        return self.words.encode(words).count(self.unknown)

    def _read(self, words: Sequence[str], memory: Memory) -> tuple[Array, Memory]:
        feeds = {"tokens": np.array([self.words.encode(words)], np.int64)}
        if self.characters is not None:
            half = self.longest // 2
            ends = [word if len(word) <= self.longest else word[:half] + word[-half:] for word in words]
            rows = [self.characters.encode(word) for word in ends]
            table = np.full((1, len(rows), max(1, *map(len, rows))), self.padding, np.int64)
            for at, row in enumerate(rows):
                table[0, at, : len(row)] = row
            feeds["characters"] = table
        [logits], memory = self.graph.step(feeds, memory, ["logits"])
        if logits.shape[-1] != len(self.tags):
            raise RunnerError(f"{self.place}: expected {logits.shape[-1]} tags, got {len(self.tags)}")
        return logits[0], memory

    def _said(self, scores: Array) -> Tagged:
        path = self.crf.best(scores) if self.crf else scores.argmax(-1).tolist()
        probabilities = self.crf.marginals(scores) if self.crf else softmax(scores)
        return Tagged([self.tags[tag] for tag in path], probabilities)


class _Vocabulary:
    """Numbers of words or of characters, whose first two names are those of the unknown and of padding."""

    def __init__(self, folder: Folder, name: str, unknown: int) -> None:
        data, where = folder.codec(name), f"{folder.path / name}.json"
        names, self.unknown = take(data, "names", list[str], where), unknown
        self.lowercase: bool = take(data, "lowercase", bool, where)
        self._numbers = {name: number for number, name in enumerate(names) if number > 1}

    def encode(self, symbols: Sequence[str]) -> list[int]:
        """The number of each symbol, as it is spelt or else in lower case."""
        find = self._numbers.get
        if self.lowercase:
            return [find(symbol) or find(symbol.lower(), self.unknown) for symbol in symbols]
        return [find(symbol, self.unknown) for symbol in symbols]
