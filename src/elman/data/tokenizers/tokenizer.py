"""The tokenizers' protocol: text to token ids and back, token by token if need be."""

from __future__ import annotations

import codecs
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from elman.errors import UserError
from elman.reading import check_type

if TYPE_CHECKING:
    from torch import Tensor

Ids = npt.NDArray[np.unsignedinteger[Any]]

EOD, EOS, UNK = "<eod>", "<eos>", "<unk>"


class Tokenizer(ABC):
    """Text to ids in `range(vocab_size)` and back.

    Special ids, each None where the tokenizer has no such token:

    - `unk` stands for what the vocabulary lacks;
    - `eos` is a line's end (word tokenizers);
    - `eod` follows every document, and begins the next. No text encodes to `eod`.

    >>> from elman.data.tokenizers import train_tokenizer
    >>> tokenizer = train_tokenizer("char", ["to be or not"], eod=True)
    >>> ids = tokenizer.encode("robot")
    >>> ids, tokenizer.decode(ids)
    (tensor([5, 4, 1, 4, 6]), 'robot')
    >>> tokenizer.unk, tokenizer.eod, tokenizer.count_unknown(tokenizer.encode("xyz"))
    (7, 8, 3)
    """

    kind: ClassVar[str]
    smallest: ClassVar[int]
    """The smallest vocabulary that `train` can make, `<eod>` aside."""
    contents: ClassVar[Mapping[str, Any]] = {}
    """The attributes, and the constructor's arguments, that make the tokenizer beside `eod`, and their types."""

    def __init__(self, vocab_size: int, *, unk: int | None = None, eos: int | None = None, eod: bool = False):
        self.unk, self.eos = unk, eos
        self.eod = vocab_size if eod else None  # always the last id, so that the others do not depend on it
        self.vocab_size = vocab_size + eod

    @classmethod
    def train(cls, texts: Iterable[str], *, max_vocab: int, min_count: int = 1, eod: bool = False) -> Tokenizer:
        """Learn the vocabulary from a stream of texts; `train_tokenizer` explains the limits.

        Raises `UserError` for a tokenizer that comes from elsewhere, which learns nothing.
        """
        raise UserError("tokenizer", expected="one that can be learnt", got=f"{cls.kind!r}, which comes with a model")

    @abstractmethod
    def encode_array(self, text: str) -> Ids:
        """The ids of a text (T,), of type `dtype`."""

    def encode(self, text: str) -> Tensor:
        """The ids of a text (T,) int64, as a model reads them: `model(tokenizer.encode(text)[None])`."""
        import torch  # imported here: preparing a corpus needs no torch

        return torch.from_numpy(self.encode_array(text).astype(np.int64))

    @abstractmethod
    def spell(self, token: int, previous: int | None) -> bytes:
        """The UTF-8 bytes that a token other than `eod` adds to a text after the token `previous` (None: no token)."""

    def symbol(self, token: int) -> str:
        r"""A token as people see it: never empty, white space made visible, bytes that are no text as `\xNN`."""
        special = {self.eod: EOD, self.eos: EOS, self.unk: UNK}.get(token)
        return special or visible(self.spell(token, None).decode("utf-8", "backslashreplace"))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest of uint16 and uint32 that holds every id (little-endian, as on disk)."""
        return np.dtype("<u2" if self.vocab_size <= 1 << 16 else "<u4")

    @property
    def start(self) -> int:
        """The token that generation without a prompt reads first: `eod`, else a line's end, else id 0."""
        if self.eod is not None:
            return self.eod
        newline = int(self.encode_array("\n")[0])
        return 0 if newline == self.unk else newline

    def count_unknown(self, ids: Iterable[int]) -> int:
        """The number of ids that are `unk`."""
        return sum(int(token) == self.unk for token in ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a sequence of ids; bytes that are not UTF-8 become U+FFFD."""
        decoder = StreamDecoder(self)
        values = ids.tolist() if hasattr(ids, "tolist") else ids  # iterating over a tensor is slow
        return "".join([decoder.push(int(token)) for token in values]) + decoder.finish()

    def to_json(self) -> dict[str, Any]:
        """Everything about the tokenizer, ready for `json.dumps`."""
        contents = {name: getattr(self, name) for name in self.contents}
        return {"kind": self.kind, "eod": self.eod is not None, **contents}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tokenizer:
        """The inverse of `to_json`. Errors: `UserError` for another type, `KeyError` where a part is missing."""
        kinds = {**cls.contents, "eod": bool}
        for name, kind in kinds.items():
            check_type(data[name], kind, name)
        return cls(**{name: data[name] for name in kinds})

    def save(self, path: Path) -> None:
        """Write the tokenizer as JSON; `load_tokenizer` reads it."""
        path.write_text(json.dumps(self.to_json(), ensure_ascii=False) + "\n", encoding="utf-8")

    @property
    def fingerprint(self) -> str:
        """A hash that is equal for two tokenizers only if they give the same ids."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


class StreamDecoder:
    """Decodes token by token: holds the bytes of an unfinished UTF-8 character back until it is whole.

    It begins after the token `previous`, with the bytes that are `unfinished` until then.

    >>> from elman.data.tokenizers import ByteTokenizer
    >>> decoder = StreamDecoder(ByteTokenizer())
    >>> [decoder.push(byte) for byte in "né".encode()]  # é is two bytes
    ['n', '', 'é']
    """

    def __init__(self, tokenizer: Tokenizer, previous: int | None = None, unfinished: bytes = b""):
        self.tokenizer = tokenizer
        self.previous = previous  # the token that was pushed last
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._utf8.decode(unfinished)

    @property
    def unfinished(self) -> bytes:
        """The bytes that are held back."""
        return self._utf8.getstate()[0]

    def push(self, token: int) -> str:
        """The text that this token completes, often one character, sometimes none; none for `eod`."""
        spelt = b"" if token == self.tokenizer.eod else self.tokenizer.spell(token, self.previous)
        text = self._utf8.decode(spelt)
        self.previous = token
        return text

    def extend(self, tokens: Iterable[int]) -> str:
        """The text that these tokens complete, one after the other: as `push`, in less time."""
        spell, eod, previous = self.tokenizer.spell, self.tokenizer.eod, self.previous
        parts = []
        for token in tokens:
            if token != eod:
                parts.append(spell(token, previous))
            previous = token
        self.previous = previous
        return self._utf8.decode(b"".join(parts))

    def finish(self) -> str:
        """U+FFFD if a character was left unfinished."""
        return self._utf8.decode(b"", final=True)


def visible(text: str) -> str:
    r"""A text with its white space and control characters made visible.

    >>> visible(" a\n\x00")
    '␣a↵\\x00'
    """
    marked = text.translate({ord(" "): "␣", ord("\n"): "↵", ord("\t"): "⇥"})
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in marked)
