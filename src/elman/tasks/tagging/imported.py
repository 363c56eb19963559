"""A model of another framework as a tagger."""

from __future__ import annotations

from elman.data.spans import recognise_scheme
from elman.data.tagged import Layout
from elman.data.tokenizers import Tokenizer
from elman.data.tokenizers.vocabulary import VocabularyTokenizer, number_names
from elman.data.vocabulary import SPECIAL, TagSet, Vocabulary
from elman.errors import UserError
from elman.models.configuration import IMPORTED
from elman.models.layered import LayeredModel
from elman.models.layered_scores import is_sigmoid
from elman.tasks.exchange import Adopted, Codec, Particulars

SUBWORDS = ("bpe", "library", "byte")


def recognises(network: LayeredModel) -> str | None:
    """Outputs at every step of tokens."""
    config = network.config
    return f"it has {config['outputs']:,} outputs at every step" if _fits(network) else None


def _fits(network: LayeredModel) -> bool:
    return network.reads_tokens and network.config["per_step"]


def adopt(network: LayeredModel, said: Particulars) -> Adopted:
    """The layers with their words and tags. Raises `UserError` where they are no tagger, or something is another's."""
    config = network.config
    if not _fits(network):
        raise UserError("the model", expected="layers that read tokens, and have outputs at every step", got="others")
    size, K = config["input"]["vocab_size"], config["outputs"]
    if is_sigmoid(config) and K > 1:
        raise UserError("the model", expected="one tag at every step (a softmax)", got="several at once (a sigmoid)")
    words = vocabulary(said.tokenizer, size)
    expected = max(K, 2)
    tags = tuple(said.labels or number_names(expected))
    if len(tags) != expected or len(set(tags)) < expected:
        raise UserError("labels", expected=f"{expected} different tags", got=len(set(tags)))
    scheme = recognise_scheme(_spelt(tags))
    characters = Vocabulary(SPECIAL)
    notes = []
    if said.tokenizer is None:
        notes.append("no tokenizer is given (--tokenizer): words are numbers of tokens")
    if said.labels is None:
        notes.append(f"no names of the tags are given (--labels): they are {tags[0]} to {tags[-1]}")
    made = {
        "model": IMPORTED,
        "word_vocab_size": size,
        "character_vocab_size": len(characters),
        "tags": list(tags),
        "scheme": scheme,
        "network": config,
    }
    codecs: dict[str, Codec] = {
        "words": words,
        "characters": characters,
        "tags": TagSet(tags, scheme),
        "layout": Layout("jsonl"),
    }
    return Adopted(made, codecs, notes)


def vocabulary(tokenizer: Tokenizer | None, size: int) -> Vocabulary:
    """The words of a tokenizer by its own numbers, without one the numbers themselves.

    Raises `UserError` for a tokenizer that has parts of words.
    """
    if tokenizer is None:
        return Vocabulary(tuple(number_names(size)), unknown=None, padding=0)
    if tokenizer.kind in SUBWORDS:
        raise UserError("tokenizer", expected="one of words, for a tagger", got=f"one of the kind {tokenizer.kind!r}")
    names = tuple(tokenizer.symbol(token) for token in range(tokenizer.vocab_size))
    lowercase = isinstance(tokenizer, VocabularyTokenizer) and tokenizer.lowercase
    return Vocabulary(names, lowercase, tokenizer.unk, 0)


def _spelt(tags: tuple[str, ...]) -> list[list[str]]:
    """Sentences that spell spans as every scheme has them: each tag that goes on after the one that begins it."""
    known = set(tags)
    return [[begin, tag] if (begin := f"B-{tag[2:]}") in known and tag[:2] in ("I-", "E-") else [tag] for tag in tags]
