"""Vocabularies of tagged sentences: numbers for words, for characters and for tags. Each is a codec of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from elman.data.lanes import NOT_COUNTED
from elman.errors import UserError

UNKNOWN, PADDING = 0, 1
SPECIAL = ("<unk>", "<pad>")  # the names of these two
Scheme = Literal["IOB1", "IOB2", "BIOES", "BILOU", "BMES", "BMEWO"]
"""How tags spell spans of tokens; see `data/spans.py`."""


@dataclass(frozen=True)
class Vocabulary:
    """Words or characters by number: `names` begin with those of UNKNOWN and PADDING.

    A symbol is looked up as it is spelt; where `lowercase` is set and there is none of its spelling, in lower case. A
    vocabulary of another framework has its own numbers for `unknown`, which may be None, and `padding`.

    >>> Vocabulary(("<unk>", "<pad>", "the", "US"), lowercase=True).encode(["The", "US", "us"])
    [2, 3, 0]
    """

    names: tuple[str, ...]
    lowercase: bool = False
    unknown: int | None = UNKNOWN
    padding: int = PADDING

    @cached_property
    def _numbers(self) -> dict[str, int]:
        special = () if self.is_foreign else (UNKNOWN, PADDING)
        return {name: number for number, name in enumerate(self.names) if number not in special}

    @property
    def is_foreign(self) -> bool:
        """Whether the numbers are those of another framework."""
        return (self.unknown, self.padding) != (UNKNOWN, PADDING)

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, symbols: Iterable[str]) -> list[int]:
        """The number of each symbol; that of `unknown` for one that the vocabulary lacks.

        Raises `UserError` for such a symbol where there is no number for it.
        """
        find, unknown = self._numbers.get, self.unknown
        if unknown is not None and not self.lowercase:
            return [find(symbol, unknown) for symbol in symbols]
        return [self._number(symbol) for symbol in symbols]

    def _number(self, symbol: str) -> int:
        number = self._numbers.get(symbol)
        if number is None and self.lowercase:
            number = self._numbers.get(symbol.lower())
        number = self.unknown if number is None else number
        if number is None:
            remedy = "import the model with a --tokenizer that has a token for unknown words"
            raise UserError("a word", expected=f"one of the vocabulary's {len(self)}", got=repr(symbol), remedy=remedy)
        return number

    def symbol(self, number: int) -> str:
        """The name of a number."""
        return self.names[number]

    def to_json(self) -> dict[str, Any]:
        """Everything about the vocabulary."""
        own = {"unknown": self.unknown, "padding": self.padding} if self.is_foreign else {}
        return {"names": self.names, "lowercase": self.lowercase, **own}


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
