"""A parallel corpus: pairs turned into training and validation tokens, once, in a cache.

The pairs are read to survey them, to learn the vocabularies from the training part (never from the validation
part) and to encode that part onto the disk, each in constant memory but for a hash a pair. The validation part is
kept in memory with its texts. Endless sources are encoded an epoch at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from elman.data import paircache
from elman.data.corpus import BPE_SAMPLE, Progress
from elman.data.encoding import FreshPairs, Texts, encode_texts, held_out_texts, no_pair_is_short_enough
from elman.data.endless import EndlessPairs
from elman.data.pairs import Data, Pair, PairSource, open_pairs
from elman.data.pairsplit import source_hash, survey_pairs
from elman.data.sequences import PairPart
from elman.data.tokenizers import Tokenizer
from elman.data.vocabularies import Recipe, Tokenizers
from elman.errors import UserError

EPOCH_PAIRS = 50_000  # of an endless source
LEARN_FROM = 20_000  # pairs of an endless source that vocabularies are learnt from


@dataclass(frozen=True)
class Skipped:
    """Pairs that are left out: those with an empty side, where the first is, and training pairs that are too long."""

    empty: int = 0
    first_empty: str = ""
    too_long: int = 0


@dataclass(frozen=True)
class ParallelCorpus:
    """What training reads. `fingerprint` identifies the pairs and their split, wherever the files lie."""

    train: PairPart | FreshPairs
    valid: PairPart
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer  # the very same object where the vocabulary is joint
    fingerprint: str
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
    sources. `expect` is the `ParallelCorpus.fingerprint` that the pairs must have (a run that goes on). What `cache`
    holds already, made from the same pairs in the same way, is used again.

    Errors: `UserError` where pairs cannot be read, are not the expected ones, or the cache cannot be written.
    """
    source = open_pairs(data)
    others = None if valid is None else open_pairs(valid)
    recipe = Recipe(tokenizer, joint, max_vocab, min_count)
    stamps = [source.stamp, str(seed), "" if others is None else others.stamp]
    made = paircache.reuse(cache, str(recipe), "stamps", stamps)  # untouched files are not even read
    if made is None or isinstance(source, EndlessPairs):
        reading = _read(source, others, seed, progress)
        _check_expected(source, others, reading.fingerprint, expect)
        made = paircache.reuse(cache, str(recipe), "fingerprint", reading.fingerprint)  # moved, but the same pairs
        if made is None:
            tokenizers = recipe.tokenizers(lambda: reading.sample(tokenizer == "bpe"))
            made = paircache.write(cache, tokenizers, reading.valid, reading.facts, reading.encodable)
        made = replace(made, facts=replace(reading.facts, encoded=made.facts.encoded, valid=made.facts.valid))
        paircache.seal(cache, made, str(recipe), stamps)
    _check_expected(source, others, made.facts.fingerprint, expect)
    return _corpus(source, made, max_length, epoch_pairs, seed)


def _corpus(
    source: PairSource | EndlessPairs, made: paircache.Cached, max_length: int | None, epoch_pairs: int, seed: int
) -> ParallelCorpus:
    train: PairPart | FreshPairs
    too_long = 0
    if isinstance(source, EndlessPairs):
        train = FreshPairs(source, made.tokenizers, epoch_pairs, seed, max_length)
    else:
        assert made.train is not None
        train = made.train
        too_long = train.limit(max_length)
    if not len(train):
        raise no_pair_is_short_enough(source.name, max_length)
    skipped = Skipped(made.facts.empty, made.facts.first_empty, too_long)
    valid = encode_texts(made.valid, made.tokenizers)
    return ParallelCorpus(train, valid, *made.tokenizers, made.facts.fingerprint, skipped)


@dataclass(frozen=True)
class _Reading:
    """What the first pass over the pairs found, and how to read the training part again."""

    source: PairSource | EndlessPairs
    seed: int
    cut: int  # below it is the hash of what is held out
    characters: int
    valid: Texts
    facts: paircache.Facts
    progress: Progress | None

    @property
    def fingerprint(self) -> str:
        """Of the pairs and their split."""
        return self.facts.fingerprint

    def train(self, stage: str) -> Iterator[Pair]:
        """The training pairs; `progress` is told of the stage."""
        assert isinstance(self.source, PairSource)
        pairs = _watched(self.source, stage, self.progress)
        return (pair for pair in pairs if not self.cut or source_hash(pair.source) >= self.cut)

    @property
    def encodable(self) -> Callable[[str], Iterator[Pair]] | None:
        """The training part, where it has an end."""
        return self.train if isinstance(self.source, PairSource) else None

    def sample(self, byte_pairs: bool) -> Iterator[tuple[str, str]]:
        """The training texts, or every k-th pair, where they are more than `BPE_SAMPLE` characters."""
        if isinstance(self.source, EndlessPairs):
            return self.source.texts("train", self.seed, 0, LEARN_FROM)
        stride = -(-self.characters // BPE_SAMPLE) if byte_pairs else 1
        pairs = islice(self.train("learning the vocabularies"), 0, None, max(stride, 1))
        return ((pair.source, pair.target) for pair in pairs)


def _read(
    source: PairSource | EndlessPairs, others: PairSource | EndlessPairs | None, seed: int, progress: Progress | None
) -> _Reading:
    """Read everything once. Errors: `UserError` where one of the parts has no pairs."""
    cut = characters = pairs = 0
    if isinstance(source, EndlessPairs):
        digest = _digest([source.name, seed, list(source.texts("train", seed, 0, 100))])
    else:
        survey = survey_pairs(_watched(source, "reading", progress))
        digest, pairs, characters = survey.digest, survey.pairs, survey.characters
        if not pairs:
            raise UserError(f"{source.name} holds no pairs", remedy="give lines with a source and a target")
        cut = survey.cut if others is None else 0
    valid = _valid_texts(source, others, cut, seed, progress)
    if not valid:
        raise UserError(
            f"no pair of {source.name if others is None else others.name} is left for validation",
            remedy="give more pairs" if others else "give other pairs for it with --valid",
        )
    empty, first = 0, ""
    for each in (source, others):
        if isinstance(each, PairSource) and each.empty.count:
            empty += each.empty.count
            first = first or f"line {each.empty.first} of {each.name}"
    facts = paircache.Facts(_digest([digest, cut, valid]), empty, first)
    return _Reading(source, seed, cut, characters, valid, facts, progress)


def _valid_texts(
    source: PairSource | EndlessPairs,
    others: PairSource | EndlessPairs | None,
    cut: int,
    seed: int,
    progress: Progress | None,
) -> Texts:
    held_out = source if others is None else others
    if isinstance(held_out, EndlessPairs):
        return held_out_texts(held_out, "valid", seed)
    pairs = _watched(held_out, "reading", progress)
    return [(pair.source, pair.target) for pair in pairs if others or source_hash(pair.source) < cut]


def _watched(source: PairSource, stage: str, progress: Progress | None) -> Iterator[Pair]:
    for pair in source.pairs():
        yield pair
        if progress:
            progress(stage, pair.position / max(source.size, 1))


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _check_expected(
    source: PairSource | EndlessPairs, others: PairSource | EndlessPairs | None, fingerprint: str, expect: str | None
) -> None:
    if expect not in (None, fingerprint):
        names = " with ".join(each.name for each in (source, others) if each is not None)
        raise UserError(
            f"{names} does not hold the pairs that the run began with",
            remedy="put those back, or train a new run on these",
        )
