"""Tokenizers: character, byte, word and byte pair encoding, all with one protocol.

>>> tokenizer = train_tokenizer("char", ["to be or not to be"])
>>> tokenizer.vocab_size, tokenizer.decode(tokenizer.encode("robot"))
(8, 'robot')
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from elman.data.tokenizers.bpe import BPETokenizer
from elman.data.tokenizers.byte import ByteTokenizer
from elman.data.tokenizers.char import CharTokenizer
from elman.data.tokenizers.tokenizer import StreamDecoder, Tokenizer
from elman.data.tokenizers.word import WordTokenizer
from elman.errors import UserError, nearest
from elman.reading import check_type, read_json

__all__ = [
    "TOKENIZERS",
    "BPETokenizer",
    "ByteTokenizer",
    "CharTokenizer",
    "StreamDecoder",
    "Tokenizer",
    "WordTokenizer",
    "load_tokenizer",
    "tokenizer_from_json",
    "train_tokenizer",
]

TOKENIZERS: dict[str, type[Tokenizer]] = {
    "char": CharTokenizer,
    "byte": ByteTokenizer,
    "word": WordTokenizer,
    "bpe": BPETokenizer,
}
MAX_VOCAB = {"char": 1 << 16, "byte": 257, "word": 1 << 16, "bpe": 1 << 13}
"""The largest vocabulary where none is asked for: up to 65 536 ids take two bytes each on disk."""


def train_tokenizer(
    kind: str, texts: Iterable[str], *, max_vocab: int | None = None, min_count: int = 1, eod: bool = False
) -> Tokenizer:
    """Learn a vocabulary from a stream of texts.

    `max_vocab` limits it, specials included; what occurs fewer than `min_count` times is left out;
    `eod` adds the token that ends a document. Errors: `UserError` for an unknown kind or a limit too small.
    """
    if kind not in TOKENIZERS:
        raise UserError(f"no such tokenizer: {kind}", remedy=nearest(kind, TOKENIZERS), exit_code=2)
    limit = MAX_VOCAB[kind] if max_vocab is None else max_vocab
    return TOKENIZERS[kind].train(texts, max_vocab=limit, min_count=min_count, eod=eod)


def tokenizer_from_json(data: dict[str, Any]) -> Tokenizer:
    """The inverse of `Tokenizer.to_json`."""
    check_type(data["eod"], bool, "eod")
    return TOKENIZERS[data["kind"]].from_contents(data, eod=data["eod"])


def load_tokenizer(path: Path) -> Tokenizer:
    """Read what `Tokenizer.save` wrote. Errors: `UserError` where the file is missing or damaged."""
    contents = read_json(path, dict[str, Any])
    try:
        return tokenizer_from_json(contents)
    except Exception as error:  # the bpe library raises bare Exception for a model it cannot read
        raise UserError(f"{path} is damaged: no tokenizer is in it ({type(error).__name__}: {error})") from error
