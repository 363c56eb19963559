"""A corpus of pairs: the training tokens in a cache, the validation pairs in RAM.

Three passes read the pairs: they survey them, learn the vocabularies from the training part alone, and encode that
part, in constant RAM but for a hash of each pair. Endless sources are encoded epoch by epoch.

Without pairs for validation, a hash of the source text decides which pairs are held out: a sorted file gives a fair
sample, and all pairs of one source text are in the same part.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.batches import PairPart, Sequences, Texts, encode_texts
from elman.data.cache import Cache
from elman.data.corpus import BPE_SAMPLE, check_expected, learn, watched
from elman.data.endless import EndlessPairs, FreshPairs, Split, limit_training
from elman.data.pairs import AnyPairs, Data, Pair, PairSource, open_pairs
from elman.data.sources import Progress
from elman.data.textfile import TextPiece
from elman.data.tokenizers import Tokenizer, Tokenizers
from elman.errors import UserError
from elman.wording import unit_of

VALID_FRACTION = 0.05
MOST_VALID = 2_000  # pairs, so that translating and scoring them stays affordable
# Of an endless source: the pairs of an epoch, those that vocabularies are learnt from, and those held out for
# validation and for testing.
EPOCH_PAIRS, LEARN_FROM, HELD_OUT_PAIRS = 50_000, 20_000, 1_000


@dataclass(frozen=True)
class Skipped:
    """Pairs that are left out."""

    empty: int = 0  # pairs with an empty side
    first_empty: str = ""  # the place of the first of these
    too_long: int = 0  # training pairs


@dataclass(frozen=True)
class ParallelCorpus:
    """Pairs to train on. `fingerprint` identifies the pairs and their split, independently of the files' places."""

    train: PairPart | FreshPairs
    valid: PairPart
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer  # the same object where the vocabulary is joint
    fingerprint: str
    skipped: Skipped


@dataclass(frozen=True)
class PairContents:
    """The survey of the pairs, as the cache keeps it."""

    fingerprint: str
    train: int  # training pairs; 0 for an endless source
    characters: int
    cut: int  # a pair is held out if the hash of its source is less
    skipped: Skipped


def prepare(
    data: Data,
    cache: Path,
    *,
    valid: Data | None = None,
    tokenizer: str | Tokenizers = "char",
    joint: bool = False,
    max_vocab: int | None = None,
    min_count: int = 1,
    max_length: int | None = None,
    epoch_pairs: int = EPOCH_PAIRS,
    seed: int = 0,
    expect: str | None = None,
    progress: Progress | None = None,
) -> ParallelCorpus:
    """The pairs of `data` for training, and those of `valid`, or else some of `data`, for validation.

    Without `valid`, a hash of the source text holds 5 % of the pairs out, at most 2,000; of an endless source, 1,000
    pairs are taken from a range that training never shows.

    `tokenizer` is a kind to learn for each side, or for both (`joint`), or tokenizers to use as they are. Training
    pairs with more than `max_length` tokens on a side are left out; `epoch_pairs` and `seed` are for endless
    sources. A resumed run expects its pairs to have the `ParallelCorpus.fingerprint` `expect`. Files in `cache` of
    the same pairs are used again.

    Errors: `UserError` where pairs cannot be read, are not the expected ones, or the cache cannot be written.
    """
    sources = [open_pairs(each) for each in (data, valid) if each is not None]
    source, store = sources[0], Cache(cache)
    stamps = [str(seed), *(each.stamp for each in sources)]
    contents = None if isinstance(source, EndlessPairs) else store.recall(PairContents, "pairs", *stamps)
    texts = kept_validation(store, contents.fingerprint) if contents else None
    if contents is None or texts is None:  # else the files are not read
        contents, texts = _read(sources, seed, progress)
    check_expected(sources, contents.fingerprint, expect, "does not hold the pairs")
    training = _Training(source, contents, seed, progress)
    if isinstance(tokenizer, str):
        tokenizer = _learn(store, training, tokenizer, joint, max_vocab, min_count)
    skipped = contents.skipped
    train: PairPart | FreshPairs
    if isinstance(source, EndlessPairs):
        train = FreshPairs(source, tokenizer, epoch_pairs, seed, max_length)
    else:
        train = training.encoded(store, tokenizer)
        skipped = replace(skipped, too_long=limit_training(train, source.name, max_length))
        store.remember(asdict(contents), "pairs", *stamps)
    store.remember(texts, "held_out", contents.fingerprint)
    store.remove_others()
    return ParallelCorpus(train, encode_texts(texts, tokenizer), *tokenizer, contents.fingerprint, skipped)


def kept_validation(store: Cache, fingerprint: str) -> Texts | None:
    """The validation pairs of a corpus, or None where the cache has none."""
    return store.recall(Texts, "held_out", fingerprint)


def evaluation_part(data: Data, tokenizers: Tokenizers, *, seed: int = 0) -> PairPart:
    """All pairs of `data`, by given tokenizers; of an endless source, pairs held out for testing.

    Errors: `UserError` where pairs cannot be read or there are none.
    """
    source = open_pairs(data)
    texts = _texts(source, "test", seed, None, None)
    if not texts:
        raise _no_pairs(source)
    return encode_texts(texts, tokenizers)


def _read(sources: Sequence[AnyPairs], seed: int, progress: Progress | None) -> tuple[PairContents, Texts]:
    """Survey the pairs, and read those for validation. Errors: `UserError` where one of the parts has no pairs."""
    source, held_out, alone = sources[0], sources[-1], len(sources) == 1
    cut = characters = pairs = 0
    if isinstance(source, EndlessPairs):
        digest = _digest([source.name, seed, list(source.texts("train", seed, 0, 100))])
    else:
        digest, pairs, characters, cut = _survey(watched(source.pairs(), source.size, "reading", progress))
        if not pairs:
            raise _no_pairs(source)
    cut = cut if alone else 0
    valid = _texts(held_out, "valid", seed, cut if alone else None, progress)
    if not valid:
        remedy = "give pairs for validation with --valid, or pairs with other sources" if alone else "give more pairs"
        raise UserError(f"no pair of {held_out.name} is left for validation", remedy=remedy)
    left_out = [each for each in sources if isinstance(each, PairSource) and each.empty.count]
    first = f"{unit_of(Path(left_out[0].name))} {left_out[0].empty.first} of {left_out[0].name}" if left_out else ""
    skipped = Skipped(sum(each.empty.count for each in left_out), first)
    train = pairs - (len(valid) if cut else 0)
    return PairContents(_digest([digest, cut, valid]), train, characters, cut, skipped), valid


def _survey(pairs: Iterable[Pair]) -> tuple[str, int, int, int]:
    """A digest of the pairs' texts, the numbers of pairs and of characters, and the cut.

    The `_hash` of about 5 % of the pairs, of at most 2,000, is less than the cut; of none where all sources are equal.
    """
    digest, hashes, characters = hashlib.sha256(), array("Q"), 0
    for pair in pairs:
        characters += len(pair.source) + len(pair.target)
        digest.update(b"%b\xff%b\xff" % (pair.source.encode(), pair.target.encode()))  # 0xff is in no UTF-8 text
        hashes.append(_hash(pair.source))
    held_out = min(max(int(VALID_FRACTION * len(hashes)), 1), MOST_VALID)
    every = np.array(hashes, np.uint64)
    different = np.unique(every)
    if len(different) < 2:
        return digest.hexdigest(), len(hashes), characters, 0
    cut = int(max(np.partition(every, held_out)[held_out], different[1]))  # one source may occur very often
    return digest.hexdigest(), len(hashes), characters, cut


def _texts(source: AnyPairs, part: Split, seed: int, below: int | None, progress: Progress | None) -> Texts:
    """The pairs of a source, or those with a hash below `below`; of an endless source, the first pairs of a part."""
    if isinstance(source, EndlessPairs):
        return list(source.texts(part, seed, 0, HELD_OUT_PAIRS))
    pairs = watched(source.pairs(), source.size, "reading", progress)
    return [(pair.source, pair.target) for pair in pairs if below is None or _hash(pair.source) < below]


@dataclass(frozen=True)
class _Training:
    """The training part, which is read twice more."""

    source: AnyPairs
    contents: PairContents
    seed: int
    progress: Progress | None

    def sample(self, byte_pairs: bool) -> Iterator[Sequence[Any]]:
        """The pairs to learn vocabularies from: for `byte_pairs`, about `BPE_SAMPLE` characters."""
        if isinstance(self.source, EndlessPairs):
            return self.source.texts("train", self.seed, 0, LEARN_FROM)
        stride = -(-self.contents.characters // BPE_SAMPLE) if byte_pairs else 1
        return islice(self._pairs("learning the vocabularies"), 0, None, stride)

    def encoded(self, store: Cache, tokenizers: Tokenizers) -> PairPart:
        """The tokens, in the cache."""
        source, target = (
            store.tokens(f"train_{side}", self.contents.fingerprint, tokenizer, partial(self._pieces, side))
            for side, tokenizer in tokenizers._asdict().items()
        )
        return PairPart(Sequences(source, tokenizers.source.eod), Sequences(target, tokenizers.target.eod))

    def _pieces(self, side: str) -> Iterator[TextPiece]:
        for pair in self._pairs("encoding"):
            yield TextPiece(getattr(pair, side), False, pair.position)
            yield TextPiece("", True, pair.position)

    def _pairs(self, stage: str) -> Iterator[Pair]:
        """Errors: `UserError` where the number of pairs has changed."""
        assert isinstance(self.source, PairSource)
        left = self.contents.train
        for pair in watched(self.source.pairs(), self.source.size, stage, self.progress):
            if not self.contents.cut or _hash(pair.source) >= self.contents.cut:
                left -= 1
                yield pair
        if left:
            raise UserError("the pairs changed while they were read", remedy="try again")


def _learn(
    store: Cache, training: _Training, kind: str, joint: bool, max_vocab: int | None, min_count: int
) -> Tokenizers:
    """A vocabulary for each side, or one for both sides."""

    def learn_from(*sides: int) -> Tokenizer:
        made_from = [training.contents.fingerprint, *sides]
        texts = (pair[side] for pair in training.sample(kind == "bpe") for side in sides)
        return learn(store, kind, texts, made_from, max_vocab, min_count, eod=True)

    if joint or kind == "byte":  # the bytes of both sides are the same vocabulary
        return Tokenizers(*[learn_from(0, 1)] * 2)
    return Tokenizers(learn_from(0), learn_from(1))


def _hash(source: str) -> int:
    return int.from_bytes(hashlib.blake2b(source.encode(), digest_size=8).digest(), "little")


def _no_pairs(source: AnyPairs) -> UserError:
    return UserError(f"{source.name} holds no pairs", remedy="give lines with a source and a target")


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
