"""What every tokenizer can do: text to token ids and back, token by token if need be."""

from __future__ import annotations

import codecs
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from elman.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Ids = npt.NDArray[np.unsignedinteger[Any]]

EOD, EOS, UNK = "<eod>", "<eos>", "<unk>"


class Tokenizer(ABC):
    """Text to ids in `range(vocab_size)` and back.

    Special ids, each None where the tokenizer has no such token:

    - `unk` stands for what the vocabulary lacks;
    - `eos` is a line's end (word tokenizers);
    - `eod` follows every document, and begins the next. No text encodes to it.
    """

    kind: ClassVar[str]

    def __init__(self, vocab_size: int, *, unk: int | None = None, eos: int | None = None, eod: bool = False):
        self.unk = unk
        self.eos = eos
        self.eod = vocab_size if eod else None  # always the last id, so that the others do not depend on it
        self.vocab_size = vocab_size + eod

    @classmethod
    @abstractmethod
    def train(cls, texts: Iterable[str], *, max_vocab: int, min_count: int = 1, eod: bool = False) -> Tokenizer:
        """Learn the vocabulary from a stream of texts; `train_tokenizer` says what the limits mean."""

    @abstractmethod
    def encode_array(self, text: str) -> Ids:
        """The ids of a text (T,), of type `dtype`."""

    def encode(self, text: str) -> Tensor:
        """The ids of a text (T,) int64, as a model reads them: `model(tokenizer.encode(text)[None])`."""
        import torch  # what reads and writes texts alone needs none

        return torch.from_numpy(self.encode_array(text).astype(np.int64))

    @abstractmethod
    def spell(self, token: int, previous: int | None) -> bytes:
        """The UTF-8 bytes that a token adds to a text after the token `previous` (None: it is the first)."""

    @abstractmethod
    def symbol(self, token: int) -> str:
        """A token as it is shown to people: never empty, white space visible."""

    @abstractmethod
    def contents(self) -> dict[str, Any]:
        """What `from_contents` needs, beside `eod`, to make the tokenizer again."""

    @classmethod
    @abstractmethod
    def from_contents(cls, contents: dict[str, Any], *, eod: bool) -> Tokenizer:
        """The inverse of `contents`."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest of uint16 and uint32 that holds every id (little-endian, as on disk)."""
        return np.dtype("<u2" if self.vocab_size <= 1 << 16 else "<u4")

    @property
    def start(self) -> int:
        """What generation without a prompt reads first: `eod`, else a line's end, else id 0."""
        if self.eod is not None:
            return self.eod
        newline = int(self.encode_array("\n")[0])
        return 0 if newline == self.unk else newline

    def count_unknown(self, ids: Iterable[int]) -> int:
        """How many of these ids stand for what the vocabulary lacks."""
        return sum(int(token) == self.unk for token in ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a sequence of ids; bytes that are not UTF-8 become U+FFFD."""
        decoder = StreamDecoder(self)
        values = ids.tolist() if hasattr(ids, "tolist") else ids  # to walk along a tensor takes long
        return "".join([decoder.push(int(token)) for token in values]) + decoder.finish()

    def to_json(self) -> dict[str, Any]:
        """Everything about the tokenizer, ready for `json.dumps`."""
        return {"kind": self.kind, "eod": self.eod is not None, **self.contents()}

    def save(self, path: Path) -> None:
        """Write the tokenizer as JSON; `load_tokenizer` reads it."""
        path.write_text(json.dumps(self.to_json(), ensure_ascii=False) + "\n", encoding="utf-8")

    @property
    def fingerprint(self) -> str:
        """Equal for two tokenizers if they give the same ids."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


class StreamDecoder:
    """Decodes token by token: holds the bytes of an unfinished UTF-8 character back until it is whole.

    It begins after the token `previous`, with the bytes that are `unfinished` until then.
    """

    def __init__(self, tokenizer: Tokenizer, previous: int | None = None, unfinished: bytes = b""):
        self._tokenizer = tokenizer
        self._previous = previous
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._utf8.decode(unfinished)

    @property
    def unfinished(self) -> bytes:
        """The bytes that are held back."""
        return self._utf8.getstate()[0]

    def push(self, token: int) -> str:
        """The text that this token completes, often one character, sometimes none."""
        text = self._utf8.decode(self._tokenizer.spell(token, self._previous))
        self._previous = token
        return text

    def finish(self) -> str:
        """U+FFFD if a character was left unfinished."""
        return self._utf8.decode(b"", final=True)


def visible(text: str) -> str:
    r"""A text with its white space and control characters made visible.

    >>> visible(" a\n\x00")
    '␣a↵\\x00'
    """
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if mark := {" ": "␣", "\n": "↵", "\t": "⇥"}.get(character):
        return mark
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def check_range(max_vocab: int, least: int, kind: str) -> None:
    """Errors: `UserError` where a vocabulary limit is too small for the kind of tokenizer."""
    if max_vocab < least:
        raise UserError("max_vocab", expected=f"at least {least} for a {kind} tokenizer", got=max_vocab, exit_code=2)
