"""One token a name of a list that was made elsewhere, whose place is its id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from elman.data.tokenizers.tokenizer import EOS, UNK, Ids, Tokenizer
from elman.errors import UserError

PLACEHOLDER = "<{}>"  # an id that the list has no name for
UNKNOWN_NAMES = (UNK, "[UNK]", "<UNK>", "<OOV>", "<oov>", "[OOV]", "unk", "UNK")


class VocabularyTokenizer(Tokenizer):
    """The `tokens` of another program, in its order: words between white space, or characters.

    A token is looked up as it is spelt, or, with `lowercase`, in lower case. Each of the characters `ignored` counts as
    white space. What the list lacks is the token `unknown`; without one it is left out where `skips`, and else refused.
    A line's end is the token `<eos>` where the list has that.

    >>> tokenizer = VocabularyTokenizer(["<pad>", "<unk>", "the", "cat"], unknown=1)
    >>> tokenizer.encode("the big cat").tolist(), tokenizer.decode([2, 3])
    ([2, 1, 3], 'the cat')
    >>> numbered(9).encode("3 1 4").tolist()
    [3, 1, 4]
    """

    kind = "vocabulary"
    contents: ClassVar = {
        "tokens": list[str],
        "unknown": int | None,
        "characters": bool,
        "lowercase": bool,
        "ignored": str,
        "skips": bool,
    }

    def __init__(
        self,
        tokens: list[str],
        *,
        unknown: int | None = None,
        characters: bool = False,
        lowercase: bool = False,
        ignored: str = "",
        skips: bool = False,
        eod: bool = False,
    ):
        eos = tokens.index(EOS) if EOS in tokens and not characters else None
        super().__init__(len(tokens), unk=unknown, eos=eos, eod=eod)
        if unknown is not None and not 0 <= unknown < len(tokens):
            raise UserError("unknown", expected=f"a number from 0 to {len(tokens) - 1}", got=unknown)
        self.tokens, self.unknown, self.characters = tokens, unknown, characters
        self.lowercase, self.ignored, self.skips = lowercase, ignored, skips
        self._spaces = str.maketrans(dict.fromkeys(ignored, " "))
        self._ids = {token: number for number, token in reversed([*enumerate(tokens)])}  # the first of equal names

    def encode_array(self, text: str) -> Ids:
        """One id a word or character. Raises `UserError` for one that the list lacks, where nothing stands for it."""
        text = (text.lower() if self.lowercase else text).translate(self._spaces)
        parts: Sequence[str] = text
        if not self.characters:
            parts = (text if self.eos is None else text.replace("\n", f" {EOS} ")).split()
        found = [self._ids.get(part, self.unknown) for part in parts]
        if None in found and not self.skips:
            raise UserError("the text", expected=f"{self._expected()} alone", got=repr(parts[found.index(None)]))
        return np.array([number for number in found if number is not None], self.dtype)

    def _expected(self) -> str:
        if self.tokens == number_names(len(self.tokens)):
            return f"numbers of tokens, from 0 to {len(self.tokens) - 1}, with blanks between them"
        return f"the {len(self.tokens):,} tokens of the vocabulary, which has none for others,"

    def spell(self, token: int, previous: int | None) -> bytes:
        """The token, after a space where it is a word that does not begin a line."""
        if token == self.eos:
            return b"\n"
        begins = self.characters or previous in (None, self.eos, self.eod)
        return f"{'' if begins else ' '}{self.tokens[token]}".encode("utf-8", "replace")

    def symbol(self, token: int) -> str:
        """A token as people see it; never empty."""
        return super().symbol(token) if token == self.eod or self.tokens[token] else PLACEHOLDER.format(token)

    @property
    def start(self) -> int:
        """The token that generation without a prompt reads first: a line's end, else id 0."""
        return self._ids.get("\n", 0) if self.eos is None else self.eos


def number_names(size: int) -> list[str]:
    """The names of ids that have no other name.

    >>> number_names(3)
    ['0', '1', '2']
    """
    return [str(number) for number in range(size)]


def numbered(size: int) -> VocabularyTokenizer:
    """The tokenizer of texts that are numbers of tokens, with blanks between them."""
    return VocabularyTokenizer(number_names(size))
