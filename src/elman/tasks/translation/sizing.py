"""Sizes of an encoder-decoder for its pairs and its budget, where a person left them open (see `tasks/sizing.py`)."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from elman import environment
from elman.data.batches import PairPart, TokenBatches
from elman.data.endless import FreshPairs
from elman.data.pair_corpus import ParallelCorpus
from elman.errors import UserError
from elman.models import build_encoder_decoder
from elman.models.configuration import RecurrentTranslatorSettings
from elman.tasks import configuration
from elman.tasks.configuration import OWN, Settings
from elman.tasks.exchange import Choice
from elman.tasks.sizing import (
    LARGE_VOCABULARY,
    Recipe,
    count_layers,
    dropout,
    fill,
    find_recipe,
    largest_size,
    learning_rate,
    seconds_of_step,
    tokens_needed,
)
from elman.tasks.translation.objective import TargetTokens, count_targets
from elman.train.objective import Place

RECURRENT = {"num_layers": 1, "tied": True}
TRANSFORMER = {"encoder_layers": 4, "decoder_layers": 4, "num_heads": 4}
MUON = {"optimizer": "muon", "muon_rate": 0.02}
# Where Multi30k is read 35 times, the tokens are those that pay for 352 units and for a Transformer of 128; read 2 to 4
# times, they pay for a GRU of 128 units, which learns more than one of 256 (2.22 nats and 2.84).
RECIPES = {
    "lstm": Recipe(4e-3, tokens_per_parameter=50, model=RECURRENT, train=MUON),
    "gru": Recipe(3e-3, tokens_per_parameter=50, model=RECURRENT, train=MUON),
    "elman": Recipe(2e-3, tokens_per_parameter=50, model=RECURRENT, train=MUON),
    "transformer": Recipe(4e-3, 128, tokens_per_parameter=18, model=TRANSFORMER, train=MUON),
}
WEIGHT_DECAY = 0.05
DROPOUT = 0.08  # for each doubling of the passes over the pairs
BATCHES = 128  # an epoch, at least, where the pairs are few
LEAST_BATCH = 256  # tokens
# Each for a small vocabulary of characters or commands, where there is one right answer, and for a large vocabulary of
# words or byte pairs, where there are several.
EMBEDDING_SIZE = 64, 256  # of a recurrent model
LABEL_SMOOTHING = 0.0, 0.1
MOST_TOKENS = 2048, 4096  # of a batch
MOST_DROPOUT = 0.2, 0.4
TOKENS = 0.25, 1.0  # times the recipe's: rules without exceptions are learnt from few tokens


def choose(asked: Settings, corpus: ParallelCorpus) -> Choice:
    """Choose the settings that a person left open."""
    recipe, first = find_recipe(RECIPES, asked.kind), corpus.train.epoch(0)
    large = corpus.target_tokenizer.vocab_size >= LARGE_VOCABULARY
    train = fill(asked.train, asked.train, device=environment.best_device())
    train = fill(
        train,
        asked.train,
        precision="bfloat16" if environment.has_bfloat16(train.device) else "float32",
        learning_rate=recipe.learning_rate,
        weight_decay=WEIGHT_DECAY,
        batch_tokens=_batch_tokens(first, MOST_TOKENS[large]),
        label_smoothing=LABEL_SMOOTHING[large],
        **recipe.train,
    )
    data = asked.data.model_copy(update={"tokenizer": corpus.target_tokenizer.kind})
    settings = asked.model_copy(update={"data": data, "train": train})
    chosen = f"batches of {train.batch_tokens:,} tokens"
    if asked.kind == OWN:
        return Choice(settings, f"chosen: learning rate {train.learning_rate:g}, {chosen}")

    def sized(size: int) -> Settings:
        return settings.model_copy(update={"model": _model(asked, recipe, size, EMBEDDING_SIZE[large], corpus)})

    speed = _speed(sized(recipe.size), corpus) if asked.budget.unit == "seconds" else None
    again = not isinstance(corpus.train, FreshPairs)  # no pair of an endless source is read twice

    def affordable(size: int) -> bool:
        epochs = _epochs(sized(size), corpus, speed)
        needed = tokens_needed(recipe, _layers(sized(size), corpus), again * epochs) * TOKENS[large]
        return needed <= epochs * _longer_sides(first)

    settings = sized(largest_size(affordable))
    epochs = _epochs(settings, corpus, speed)
    settings = _finish(settings, asked, recipe, again * epochs, large)
    measured = f" at {speed / 1e9:,.0f} GFLOP/s (measured)" if speed else ""
    mean = math.ceil(int(first.target_lengths.sum()) / len(first)) + 1
    if again:
        pairs, held = f"{len(first):,} pairs", f"{epochs:,.1f} passes over them"
    else:
        pairs, held = "fresh pairs", f"{float(f'{epochs * len(first):.2g}'):,.0f} of them"
    reason = (
        f"chosen: {_sizes(settings)}, dropout {settings.model.dropout:g}, "
        f"learning rate {settings.train.learning_rate:g}, {chosen}, {train.precision}\n"
        f"because: {pairs} of about {mean} target tokens, and {asked.budget} hold about {held}{measured}"
    )
    return Choice(configuration.build(settings.model_dump()), reason)


def model_config(settings: Settings, corpus: ParallelCorpus) -> dict[str, Any]:
    """Everything that `models.build_encoder_decoder` makes the model from."""
    return {
        "model": settings.kind,
        "source_vocab_size": corpus.source_tokenizer.vocab_size,
        "vocab_size": corpus.target_tokenizer.vocab_size,
        "joint": corpus.source_tokenizer is corpus.target_tokenizer,
        **settings.model.model_dump(),
    }


def operations(settings: Settings, corpus: ParallelCorpus) -> float:
    """Floating-point operations to train on one target: 2 forward and 4 backward for each weight but the embeddings."""
    output = corpus.target_tokenizer.vocab_size * settings.model.hidden_size  # which may share the embedding's matrix
    return 6.0 * (output + _layers(settings, corpus))


def _layers(settings: Settings, corpus: ParallelCorpus) -> int:
    """The parameters of the layers."""
    return count_layers(partial(build_encoder_decoder, model_config(settings, corpus)))


def _epochs(settings: Settings, corpus: ParallelCorpus, speed: float | None) -> float:
    """The passes over the pairs that the budget holds; `speed` is in operations a second, for a budget of seconds."""
    budget, train = settings.budget, settings.train
    if speed is not None:
        return speed * budget.amount / operations(settings, corpus) / count_targets(corpus.train.epoch(0))
    if budget.unit == "epochs":
        return budget.amount
    return budget.amount * train.accumulate / TokenBatches(corpus.train, train.batch_tokens, train.seed).count(0)


def _speed(settings: Settings, corpus: ParallelCorpus) -> float:
    """Operations a second of training steps on a batch of middling length."""
    batches = TokenBatches(corpus.train, settings.train.batch_tokens, settings.train.seed)
    rows = [len(batch) for batch in batches.plan(0)]
    place = Place(0, rows.index(sorted(rows)[len(rows) // 2]), 0.0)
    task = TargetTokens(batches, corpus.valid, settings.train.label_smoothing)
    build = partial(build_encoder_decoder, model_config(settings, corpus))
    targets = count_targets(corpus.train.epoch(0)) / len(rows)
    return operations(settings, corpus) * targets / seconds_of_step(build, task, place, settings.train)


def _batch_tokens(first: PairPart, most: int) -> int:
    """The tokens of a batch. An epoch has `BATCHES` or more: few pairs are worth more steps, not larger batches."""
    return min(max(_longer_sides(first) // BATCHES // LEAST_BATCH * LEAST_BATCH, LEAST_BATCH), most)


def _longer_sides(part: PairPart) -> int:
    """The tokens of the longer side of every pair, `<eod>` among them: a pair costs about as much as they do."""
    return int(np.maximum(part.source_lengths, part.target_lengths).sum()) + len(part)


def _finish(settings: Settings, asked: Settings, recipe: Recipe, epochs: float, large: bool) -> Settings:
    """Settings with a learning rate for the size, and dropout for so many readings of the same pairs."""
    rate = learning_rate(recipe, settings.model.hidden_size)
    p = dropout(epochs, DROPOUT, MOST_DROPOUT[large])
    train = fill(settings.train, asked.train, learning_rate=rate)
    return settings.model_copy(update={"train": train, "model": fill(settings.model, asked.model, dropout=p)})


def _model(asked: Settings, recipe: Recipe, size: int, embedding_size: int, corpus: ParallelCorpus) -> Any:
    """The settings of a model of a size. Raises `UserError` for too few learned positions for the longest pair."""
    model = fill(asked.model, asked.model, hidden_size=size, **recipe.model)
    if isinstance(model, RecurrentTranslatorSettings):
        return fill(model, asked.model, embedding_size=embedding_size)
    valid = corpus.valid
    lengths = asked.data.max_length, int(valid.source_lengths.max()), int(valid.target_lengths.max())
    longest = max(lengths) + 1  # with <eod>
    heads = max(n for n in range(1, model.num_heads + 1) if model.hidden_size % n == 0)
    model = fill(model, asked.model, num_heads=heads, max_positions=longest)
    if model.positions == "learned" and model.max_positions < longest:
        expected = f"at least the longest pair's {longest}"
        raise UserError("max_positions", expected=expected, got=model.max_positions, exit_code=2)
    return model


def _sizes(settings: Settings) -> str:
    model = settings.model
    if settings.kind == "transformer":
        return f"{model.encoder_layers}+{model.decoder_layers} layers of {model.hidden_size} units"
    attention = f"{model.attention} attention" if model.attention != "none" else "no attention"
    return f"{model.num_layers}+{model.num_layers} layers of {model.hidden_size} units, {attention}"
