"""The pairs of a training as tokens, and the tokenizer that suits them where a person left that open."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from elman.data import pair_corpus
from elman.data.endless import EndlessPairs
from elman.data.pair_corpus import ParallelCorpus
from elman.data.pairs import open_pairs
from elman.data.tokenizers import Tokenizers
from elman.tasks.configuration import Settings
from elman.tasks.exchange import NONE, Progress, Say
from elman.tasks.translation.settings import PairSettings

SHORT = 48  # characters of a mean target: up to here, characters are the tokens, and byte pairs beyond
BYTE_PAIRS = 1024, 8192  # the least and the most byte pairs of a vocabulary
PAIRS_A_TOKEN = 8
PEEK = 1000  # pairs that are read to choose


def read(
    settings: Settings, cache: Path, say: Say, progress: Progress | None, codecs: Mapping[str, Any] = NONE
) -> ParallelCorpus:
    """Pairs as tokens, by the tokenizers that are given or those that are learnt."""
    data, train = settings.data, settings.train
    kind = tokenizer(data)
    made = pair_corpus.prepare(
        data.files,
        cache,
        valid=data.validation_files or None,
        tokenizer=Tokenizers(codecs["source_tokenizer"], codecs["target_tokenizer"]) if codecs else kind,
        joint=data.joint,
        max_vocab=data.vocab_size or (_byte_pairs(data) if kind == "bpe" else None),
        min_count=data.min_count,
        max_length=data.max_length,
        epoch_pairs=train.epoch_pairs,
        seed=train.seed,
        expect=data.fingerprint or None,
        progress=progress,
    )
    left_out = made.skipped
    if left_out.empty:
        say(f"{left_out.empty:,} pairs with an empty side are left out (the first: {left_out.first_empty})")
    if left_out.too_long:
        say(f"{left_out.too_long:,} training pairs of more than {data.max_length} tokens are left out (max_length)")
    return made


def tokenizer(data: PairSettings) -> str:
    """The kind of tokenizer; where none is asked for, characters for short targets and byte pairs for sentences."""
    if data.tokenizer != "auto":
        return data.tokenizer
    source = open_pairs(data.files)
    if isinstance(source, EndlessPairs):
        return "char"
    lengths = [len(pair.target) for pair in islice(source.pairs(), PEEK)]
    return "char" if sum(lengths) <= SHORT * len(lengths) else "bpe"


def _byte_pairs(data: PairSettings) -> int:
    """The most byte pairs: a token for every few pairs of sentences, so that the model meets each often enough."""
    least, most = BYTE_PAIRS
    source = open_pairs(data.files)
    if isinstance(source, EndlessPairs):
        return most
    pairs = sum(1 for _ in islice(source.pairs(), most * PAIRS_A_TOKEN))
    return min(max(pairs // PAIRS_A_TOKEN, least), most)
