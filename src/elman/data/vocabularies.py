"""The two tokenizers of a parallel corpus: learnt from its training part, or there already."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from elman.data.tokenfile import write_json
from elman.data.tokenizers import Tokenizer, load_tokenizer, train_tokenizer

NAMES = ("source_tokenizer", "target_tokenizer")


class Tokenizers(NamedTuple):
    """One tokenizer for each side, both with an `<eod>`; the same object where the vocabulary is joint."""

    source: Tokenizer
    target: Tokenizer

    @property
    def fingerprint(self) -> str:
        """Equal for two pairs of tokenizers if they give the same ids."""
        return hashlib.sha256("".join(tokenizer.fingerprint for tokenizer in self).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write both; `load_tokenizers` reads them."""
        for name, tokenizer in zip(NAMES, self, strict=True):
            write_json(folder / f"{name}.json", tokenizer.to_json())


def load_tokenizers(folder: Path) -> Tokenizers:
    """What `Tokenizers.save` wrote. Two that are equal become one object.

    Errors: `UserError` where a file is missing or damaged.
    """
    source, target = (load_tokenizer(folder / f"{name}.json") for name in NAMES)
    return Tokenizers(source, source if source.fingerprint == target.fingerprint else target)


@dataclass(frozen=True)
class Recipe:
    """How the vocabularies come about: a kind to learn (`joint`: one for both sides), or tokenizers as they are."""

    tokenizer: str | Tokenizers
    joint: bool = False
    max_vocab: int | None = None
    min_count: int = 1

    def __str__(self) -> str:
        if isinstance(self.tokenizer, Tokenizers):
            return self.tokenizer.fingerprint
        return f"{self.tokenizer} joint={self.joint} max_vocab={self.max_vocab} min_count={self.min_count}"

    def tokenizers(self, texts: Callable[[], Iterable[tuple[str, str]]]) -> Tokenizers:
        """The tokenizers; `texts` is asked for the training pairs once, or once a side.

        Errors: `UserError` for an unknown kind or a limit too small.
        """
        if isinstance(self.tokenizer, Tokenizers):
            return self.tokenizer
        if self.joint or self.tokenizer == "byte":  # with bytes there is nothing to learn, and so nothing to tell apart
            both = self._learn(text for pair in texts() for text in pair)
            return Tokenizers(both, both)
        return Tokenizers(*(self._learn(pair[side] for pair in texts()) for side in (0, 1)))

    def _learn(self, texts: Iterable[str]) -> Tokenizer:
        assert isinstance(self.tokenizer, str)
        return train_tokenizer(self.tokenizer, texts, max_vocab=self.max_vocab, min_count=self.min_count, eod=True)
