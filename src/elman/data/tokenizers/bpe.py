"""Byte pair encoding: frequent pairs of symbols become one token, again and again, starting from bytes.

Sennrich, Haddow & Birch (2016), "Neural machine translation of rare words with subword units"; on bytes,
Radford et al. (2019), "Language models are unsupervised multitask learners".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from elman.data.textfile import blocks, cut
from elman.data.tokenizers.tokenizer import Ids, Tokenizer
from elman.errors import missing_extra

BLOCK = 1 << 14  # characters; the library encodes blocks in parallel


class BPETokenizer(Tokenizer):
    """Byte-level BPE by the `tokenizers` library: any text encodes and decodes to itself.

    `model` is the library's own JSON. Training is the library's; `<eod>` is ours, so that no text spells it.

    >>> tokenizer = BPETokenizer.train(["low lower lowest " * 9], max_vocab=262)
    >>> [tokenizer.symbol(token) for token in tokenizer.encode_array("low lower")]
    ['low', '␣lower']
    >>> len(tokenizer.encode_array("é")), tokenizer.decode(tokenizer.encode_array("é"))  # two bytes
    (2, 'é')
    """

    kind, smallest = "bpe", 256
    contents: ClassVar = {"model": dict[str, Any]}

    def __init__(self, model: dict[str, Any], *, eod: bool = False):
        self.model = model
        self._bpe = library().Tokenizer.from_str(json.dumps(model))
        size = self._bpe.get_vocab_size()
        super().__init__(size, eod=eod)
        of_byte = byte_of_character()
        tokens = [self._bpe.id_to_token(token) for token in range(size)]
        self._bytes = [bytes(of_byte[character] for character in token) for token in tokens]

    @classmethod
    def train(cls, texts: Iterable[str], *, max_vocab: int, min_count: int = 1, eod: bool = False) -> BPETokenizer:
        """At most `max_vocab` tokens (specials too); pairs rarer than `min_count`, or seen once, are not merged."""
        found = library()
        bpe = found.Tokenizer(found.models.BPE())
        bpe.pre_tokenizer = found.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = found.trainers.BpeTrainer(
            vocab_size=max_vocab - eod,
            min_frequency=max(min_count, 2),
            initial_alphabet=sorted(found.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        bpe.train_from_iterator(chain.from_iterable(map(_blocks, texts)), trainer)
        return cls(json.loads(bpe.to_str()), eod=eod)

    def encode_array(self, text: str) -> Ids:
        """The ids after all merges."""
        parts = self._bpe.encode_batch_fast(list(_blocks(text)), add_special_tokens=False)
        return np.fromiter(chain.from_iterable(part.ids for part in parts), self.dtype)

    def spell(self, token: int, previous: int | None) -> bytes:
        """The token's bytes, perhaps a part of a character."""
        return self._bytes[token]


def library() -> Any:
    """The `tokenizers` library. Raises `UserError` where it is not installed."""
    try:
        import tokenizers
    except ImportError:
        raise missing_extra("tokenizers", "bpe", "BPE vocabularies") from None
    return tokenizers


def _blocks(text: str) -> Iterator[str]:
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate would stop the library
    return cut(blocks(text, BLOCK))


def byte_of_character() -> dict[str, int]:
    """GPT-2's table: printable Latin-1 characters stand for themselves, the other bytes for U+0100 onward."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}
