"""Tokenizers: character, byte, word and byte pair encoding, all with one protocol.

>>> tokenizer = train_tokenizer("char", ["to be or not to be"])
>>> tokenizer.vocab_size, tokenizer.decode(tokenizer.encode("robot"))
(8, 'robot')
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from elman.data.tokenizers.tokenizer import StreamDecoder, Tokenizer
from elman.errors import UserError, nearest
from elman.reading import read_json

if TYPE_CHECKING:
    from elman.data.tokenizers.bpe import BPETokenizer
    from elman.data.tokenizers.byte import ByteTokenizer
    from elman.data.tokenizers.char import CharTokenizer
    from elman.data.tokenizers.library import LibraryTokenizer
    from elman.data.tokenizers.vocabulary import VocabularyTokenizer
    from elman.data.tokenizers.word import WordTokenizer

__all__ = [
    "TOKENIZERS",
    "BPETokenizer",
    "ByteTokenizer",
    "CharTokenizer",
    "LibraryTokenizer",
    "StreamDecoder",
    "Tokenizer",
    "Tokenizers",
    "VocabularyTokenizer",
    "WordTokenizer",
    "load_tokenizer",
    "tokenizer_from_json",
    "train_tokenizer",
]

TOKENIZERS = {"char": "CharTokenizer", "byte": "ByteTokenizer", "word": "WordTokenizer", "bpe": "BPETokenizer"}
"""The class of each kind; the module of the same name is imported when the class is needed.

>>> from elman.data.tokenizers import TOKENIZERS
>>> TOKENIZERS["word"], sorted(TOKENIZERS)
('WordTokenizer', ['bpe', 'byte', 'char', 'word'])
"""
FOREIGN = {"vocabulary": "VocabularyTokenizer", "library": "LibraryTokenizer"}
"""Likewise those of other programs, which come with a model and are not learnt."""
MAX_VOCAB = {"char": 1 << 16, "byte": 257, "word": 1 << 16, "bpe": 1 << 13}
"""The default of `max_vocab`: up to 65 536 ids take two bytes each on disk."""


class Tokenizers(NamedTuple):
    """One tokenizer for each side of pairs, both with an `<eod>`; the same object where the vocabulary is joint.

    >>> tokenizer = train_tokenizer("char", ["ab"], eod=True)
    >>> both = Tokenizers(tokenizer, tokenizer)
    >>> both.source is both.target  # a joint vocabulary
    True
    """

    source: Tokenizer
    target: Tokenizer


def __getattr__(name: str) -> Any:
    for kind, class_name in (TOKENIZERS | FOREIGN).items():
        if name == class_name:
            return getattr(import_module(f"{__name__}.{kind}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def train_tokenizer(
    kind: str,
    texts: Iterable[str],
    *,
    max_vocab: int | None = None,
    min_count: int = 1,
    eod: bool = False,
    punctuation: bool = False,
) -> Tokenizer:
    """Learn a vocabulary from a stream of texts.

    `max_vocab` limits its size, specials included; symbols that occur fewer than `min_count` times are left out; `eod`
    adds the token that ends a document; `punctuation` makes the marks around words of a word tokenizer words too.
    Errors: `UserError` for an unknown kind or a limit too small.

    >>> words = train_tokenizer("word", ["the cat sat on the mat"], max_vocab=4)
    >>> words.vocab_size, words.decode(words.encode("the cat"))
    (4, 'the cat')
    >>> train_tokenizer("words", ["the cat"])
    Traceback (most recent call last):
    elman.errors.UserError: no such tokenizer: words; did you mean 'word'?
    """
    if kind in FOREIGN:
        raise UserError(f"the tokenizer {kind} is not learnt: it comes with a model of another framework", exit_code=2)
    if kind not in TOKENIZERS:
        raise UserError(f"no such tokenizer: {kind}", remedy=nearest(kind, TOKENIZERS), exit_code=2)
    limit, least = MAX_VOCAB[kind] if max_vocab is None else max_vocab, _class(kind).smallest
    if limit < least + eod:
        expected = f"at least {least + eod} for a {kind} tokenizer"
        raise UserError("max_vocab", expected=expected, got=limit, exit_code=2)
    options = {"punctuation": True} if punctuation and kind == "word" else {}
    return _class(kind).train(texts, max_vocab=limit, min_count=min_count, eod=eod, **options)


def tokenizer_from_json(data: dict[str, Any], where: str = "tokenizer") -> Tokenizer:
    """The inverse of `Tokenizer.to_json`. Errors: `UserError` where the data are not those of a tokenizer.

    >>> tokenizer = train_tokenizer("char", ["abc"])
    >>> tokenizer_from_json(tokenizer.to_json()).fingerprint == tokenizer.fingerprint
    True
    """
    try:
        return _class(data["kind"]).from_json(data)
    except Exception as error:  # the bpe library raises bare Exception for a model it cannot read
        raise UserError(f"{where} is damaged: no tokenizer is in it ({type(error).__name__}: {error})") from error


def load_tokenizer(path: Path) -> Tokenizer:
    """Read what `Tokenizer.save` wrote. Errors: `UserError` where the file is missing or damaged.

    >>> from pathlib import Path
    >>> train_tokenizer("char", ["abc"]).save(Path("tokenizer.json"))
    >>> load_tokenizer(Path("tokenizer.json")).encode("cab")
    tensor([2, 0, 1])
    """
    return tokenizer_from_json(read_json(path, dict[str, Any]), f"{path}")


def _class(kind: str) -> type[Tokenizer]:
    made: type[Tokenizer] = __getattr__((TOKENIZERS | FOREIGN)[kind])
    return made
