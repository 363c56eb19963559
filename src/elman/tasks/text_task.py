"""Language modelling as a task: a model that learns to go on with a text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from elman.data.corpus import Corpus, Progress, prepare
from elman.data.lanes import Lanes
from elman.data.sources import open_source
from elman.data.tokenizers import Tokenizer
from elman.errors import UserError
from elman.models import LanguageModel
from elman.models import build as build_model
from elman.models.configuration import TransformerSettings
from elman.tasks import sizing
from elman.tasks.adaptive_truncation import AdaptiveTruncation
from elman.tasks.language_modelling import LanguageModelling
from elman.tasks.task import Choice, Say
from elman.train.config import Settings
from elman.train.settings import DataSettings, TrainSettings


def check(settings: Settings) -> None:
    """See that the texts are there."""
    for source in (settings.data.source, settings.data.valid):
        if source is not None:
            open_source(source)


def corpus(settings: Settings, cache: Path, say: Say, progress: Progress | None) -> Corpus:
    """Texts as tokens."""
    data = settings.data
    assert isinstance(data, DataSettings)
    made = prepare(
        data.source,
        cache,
        valid=data.valid,
        tokenizer=data.tokenizer,
        max_vocab=data.vocab_size,
        min_count=data.min_count,
        expect=data.fingerprint or None,
        progress=progress,
    )
    if made.skipped:
        say(f"{made.skipped} files are not UTF-8 text and were skipped")
    for name, part in (("training", made.train), ("validation", made.valid)):
        if len(part) < 2:
            raise UserError(
                f"the {name} part of {data.source} is too short",
                expected="at least 2 tokens",
                got=len(part),
                remedy="give more text",
            )
    if isinstance(settings.model, TransformerSettings) and settings.model.window is None:
        say("warning: without a window the memory grows by an entry a step, to the epoch's end (--set window=256)")
    return made


def choose(settings: Settings, corpus: Corpus) -> Choice:
    """Sizes that fit the budget."""
    return sizing.choose(settings, len(corpus.train), corpus.tokenizer.vocab_size)


def build(settings: Settings, corpus: Corpus) -> LanguageModel:
    """The language model."""
    return build_model(sizing.model_config(settings, corpus.tokenizer.vocab_size))


def objective(settings: Settings, corpus: Corpus) -> LanguageModelling:
    """The next token, in lanes."""
    train, eod = settings.train, corpus.tokenizer.eod
    assert isinstance(train, TrainSettings)
    lanes = Lanes(corpus.train, train.lanes, eod=eod, window=train.k1)
    adaptive = AdaptiveTruncation(lanes, train.k1, train.k2_cosine) if train.k2 == "auto" else None
    return LanguageModelling(lanes, corpus.valid, eod, train.k1, train.backward_steps, adaptive)


def tokenizers(corpus: Corpus) -> Mapping[str, Tokenizer]:
    """The one that there is."""
    return {"tokenizer": corpus.tokenizer}


def describe(corpus: Corpus) -> str:
    """How many tokens."""
    return (
        f"{len(corpus.train):,} training and {len(corpus.valid):,} validation tokens, "
        f"{corpus.tokenizer.vocab_size:,} different"
    )


def usage(folder: Path) -> str:
    """In Python and on the command line."""
    return f"""    import elman
    run = elman.load("{folder}")
    logits, state = run.model(tokens, state)      # tokens (B, T); state=None is a fresh memory

    elman generate {folder} "..."
    elman evaluate {folder} TEXT
"""
