"""Translation as a task: an encoder-decoder that learns to turn a source into a target."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from elman.data import pair_corpus
from elman.data.batches import TokenBatches
from elman.data.corpus import Progress
from elman.data.endless import EndlessPairs, FreshPairs
from elman.data.pair_corpus import ParallelCorpus
from elman.data.pairs import open_pairs
from elman.data.tokenizers import PAIR_TOKENIZERS, Tokenizer
from elman.metrics.translation import check_installed
from elman.models import EncoderDecoder, build_encoder_decoder
from elman.tasks.task import Choice, Say
from elman.tasks.translation import Translation
from elman.tasks.translation_scores import greedy_scores
from elman.tasks.translation_sizing import choose as choose_sizes
from elman.train.config import Settings
from elman.train.settings import PairSettings, TranslationTraining

SHORT = 48  # characters of a mean target: up to here, characters are the tokens, and byte pairs beyond
BYTE_PAIRS = 1024, 8192  # a vocabulary has so many at least and at most
PAIRS_A_TOKEN = 8
PEEK = 1000  # pairs that are looked at to tell


def check(settings: Settings) -> None:
    """See that the pairs are there, and what the metric needs."""
    data = _data(settings)
    check_installed(_training(settings).metric)
    for files in (_files(data.source, data.target), _files(data.valid, data.valid_target)):
        if files:
            open_pairs(files)


def corpus(settings: Settings, cache: Path, say: Say, progress: Progress | None) -> ParallelCorpus:
    """Pairs as tokens."""
    data, train = _data(settings), _training(settings)
    kind = tokenizer(data)
    made = pair_corpus.prepare(
        _files(data.source, data.target),
        cache,
        valid=_files(data.valid, data.valid_target) or None,
        tokenizer=kind,
        joint=data.joint,
        max_vocab=data.vocab_size or vocabulary_size(data, kind),
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
    """The kind of tokenizer: characters for short targets, byte pairs for sentences, where none is asked for."""
    if data.tokenizer != "auto":
        return data.tokenizer
    source = open_pairs(_files(data.source, data.target))
    if isinstance(source, EndlessPairs):
        return "char"
    lengths = [len(pair.target) for pair in islice(source.pairs(), PEEK)]
    return "char" if sum(lengths) <= SHORT * len(lengths) else "bpe"


def vocabulary_size(data: PairSettings, kind: str) -> int | None:
    """At most so many byte pairs: a token for every few pairs of sentences, so that each is seen often enough."""
    if kind != "bpe":
        return None
    least, most = BYTE_PAIRS
    source = open_pairs(_files(data.source, data.target))
    if isinstance(source, EndlessPairs):
        return most
    pairs = sum(1 for _ in islice(source.pairs(), most * PAIRS_A_TOKEN))
    return min(max(pairs // PAIRS_A_TOKEN, least), most)


def choose(settings: Settings, corpus: ParallelCorpus) -> Choice:
    """Sizes that fit the budget."""
    chosen = choose_sizes(settings, corpus)
    data = _data(chosen.settings).model_copy(update={"tokenizer": corpus.target_tokenizer.kind})
    return Choice(chosen.settings.model_copy(update={"data": data}), chosen.reason)


def build(settings: Settings, corpus: ParallelCorpus) -> EncoderDecoder:
    """The encoder-decoder."""
    return build_encoder_decoder(model_config(settings, corpus))


def model_config(settings: Settings, corpus: ParallelCorpus) -> dict[str, Any]:
    """What `models.build_encoder_decoder` makes the model from."""
    return {
        "model": settings.kind,
        "source_vocab_size": corpus.source_tokenizer.vocab_size,
        "vocab_size": corpus.target_tokenizer.vocab_size,
        "joint": corpus.source_tokenizer is corpus.target_tokenizer,
        **settings.model.model_dump(),
    }


def objective(settings: Settings, corpus: ParallelCorpus) -> Translation:
    """Each token of a target from its source and the tokens before it."""
    train = _training(settings)
    eods = _eods(corpus)
    scores = None
    if train.validation_sentences:
        scores = partial(
            greedy_scores,
            texts=list(islice(corpus.valid.texts(), train.validation_sentences)),
            source_tokenizer=corpus.source_tokenizer,
            target_tokenizer=corpus.target_tokenizer,
        )
    return Translation(
        TokenBatches(corpus.train, train.batch_tokens, *eods, seed=train.seed),
        corpus.valid,
        eods,
        train.label_smoothing,
        train.scheduled_sampling,
        train.metric,
        scores,
    )


def tokenizers(corpus: ParallelCorpus) -> Mapping[str, Tokenizer]:
    """One for each side."""
    return dict(zip(PAIR_TOKENIZERS, (corpus.source_tokenizer, corpus.target_tokenizer), strict=True))


def describe(corpus: ParallelCorpus) -> str:
    """How many pairs."""
    source, target = corpus.source_tokenizer.vocab_size, corpus.target_tokenizer.vocab_size
    joint = corpus.source_tokenizer is corpus.target_tokenizer
    words = f"{target:,} different tokens" if joint else f"{source:,} and {target:,} different tokens"
    fresh = " fresh" if isinstance(corpus.train, FreshPairs) else ""
    return f"{len(corpus.train):,}{fresh} training and {len(corpus.valid):,} validation pairs, {words}"


def usage(folder: Path) -> str:
    """In Python and on the command line."""
    return f"""    import elman
    run = elman.load("{folder}")
    state = run.model.encode(source, lengths)     # source (B, S), each ending with <eod>
    logits, state = run.model(tokens, state)      # tokens (B, T), beginning with <eod>

    elman predict {folder} FILE
    elman evaluate {folder} SOURCES TARGETS
"""


def _data(settings: Settings) -> PairSettings:
    assert isinstance(settings.data, PairSettings)
    return settings.data


def _training(settings: Settings) -> TranslationTraining:
    assert isinstance(settings.train, TranslationTraining)
    return settings.train


def _files(source: str | None, target: str | None) -> list[str]:
    return [name for name in (source, target) if name is not None]


def _eods(corpus: ParallelCorpus) -> tuple[int, int]:
    source, target = corpus.source_tokenizer.eod, corpus.target_tokenizer.eod
    assert source is not None
    assert target is not None
    return source, target
