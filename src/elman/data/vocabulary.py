"""Vocabularies of tagged sentences: numbers for words, for characters and for tags. Each is a codec of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from elman.data.lanes import NOT_COUNTED

UNKNOWN, PADDING = 0, 1
SPECIAL = ("<unk>", "<pad>")  # the names of these two
Scheme = Literal["IOB1", "IOB2", "BIOES", "BILOU", "BMES", "BMEWO"]
"""How tags spell spans of tokens; see `data/spans.py`."""


@dataclass(frozen=True)
class Vocabulary:
    """Words or characters by number: `names` begin with those of UNKNOWN and PADDING.

    A symbol is looked up as it is spelt; where `lowercase` is set and there is none of its spelling, in lower case.

    >>> Vocabulary(("<unk>", "<pad>", "the", "US"), lowercase=True).encode(["The", "US", "us"])
    [2, 3, 0]
    """

    names: tuple[str, ...]
    lowercase: bool = False

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names) if number not in (UNKNOWN, PADDING)}

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, symbols: Iterable[str]) -> list[int]:
        """The number of each symbol; UNKNOWN for one that the vocabulary lacks."""
        find = self._numbers.get
        if self.lowercase:
            return [find(symbol) or find(symbol.lower(), UNKNOWN) for symbol in symbols]
        return [find(symbol, UNKNOWN) for symbol in symbols]

    def symbol(self, number: int) -> str:
        """The name of a number."""
        return self.names[number]

    def to_json(self) -> dict[str, Any]:
        """Everything about the vocabulary."""
        return asdict(self)


@dataclass(frozen=True)
class TagSet:
    """The tags of a training by number, and the scheme in which they spell spans; None where they spell none."""

    names: tuple[str, ...]
    scheme: Scheme | None = None

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, tag: str) -> bool:
        return tag in self._numbers

    def encode(self, tags: Iterable[str]) -> list[int]:
        """The number of each tag; NOT_COUNTED for one that the training did not have."""
        return [self._numbers.get(tag, NOT_COUNTED) for tag in tags]

    def symbol(self, number: int) -> str:
        """The tag of a number."""
        return self.names[number]

    def to_json(self) -> dict[str, Any]:
        """Everything about the tags."""
        return asdict(self)


def learn_vocabulary(
    symbols: Iterable[str], *, lowercase: bool = False, min_count: int = 1, further: Sequence[str] = ()
) -> Vocabulary:
    """The symbols that occur `min_count` times or more, most frequent first, and then the `further` ones.

    >>> learn_vocabulary("abracadabra", min_count=2, further=["z", "a"]).names
    ('<unk>', '<pad>', 'a', 'b', 'r', 'z')
    """
    counts = Counter(symbol.lower() for symbol in symbols) if lowercase else Counter(symbols)
    kept = sorted((-count, symbol) for symbol, count in counts.items() if count >= min_count)
    names = dict.fromkeys([symbol for _, symbol in kept] + list(further))
    return Vocabulary((*SPECIAL, *(name for name in names if name not in SPECIAL)), lowercase)
