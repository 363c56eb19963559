"""Sizes of an encoder-decoder for its pairs, where a person left them open."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from elman import environment
from elman.data.batches import PairPart
from elman.data.endless import FreshPairs
from elman.data.pair_corpus import ParallelCorpus
from elman.errors import UserError
from elman.models import build_encoder_decoder
from elman.models.configuration import RecurrentTranslatorSettings
from elman.tasks import configuration
from elman.tasks.configuration import OWN, Settings
from elman.tasks.sizing import LARGE_VOCABULARY, Recipe, find_recipe
from elman.tasks.task import Choice, fill

RECURRENT = {"num_layers": 1, "tied": True, "dropout": 0.2}
TRANSFORMER = {"encoder_layers": 4, "decoder_layers": 4, "num_heads": 4, "dropout": 0.15}
MUON = {"optimizer": "muon", "muon_rate": 0.02}
RECIPES = {
    "lstm": Recipe(4e-3, model=RECURRENT, train=MUON),
    "gru": Recipe(3e-3, model=RECURRENT, train=MUON),
    "elman": Recipe(2e-3, model=RECURRENT, train=MUON),
    "transformer": Recipe(4e-3, 128, model=TRANSFORMER, train=MUON),
}
WEIGHT_DECAY = 0.05
BATCHES = 128  # an epoch, at least, where the pairs are few
LEAST_BATCH = 256  # tokens
# Each for a small vocabulary of characters or commands, where there is one right answer, and for a large vocabulary of
# words or byte pairs, where there are several.
EMBEDDING_SIZE = 64, 256  # of a recurrent model
LABEL_SMOOTHING = 0.0, 0.1
MOST_TOKENS = 2048, 4096  # of a batch


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
    chosen = f"learning rate {train.learning_rate:g}, batches of {train.batch_tokens:,} tokens"
    if asked.kind == OWN:
        return Choice(settings, f"chosen: {chosen}")
    model = _model(asked, recipe, EMBEDDING_SIZE[large], corpus)
    settings = configuration.build(settings.model_copy(update={"model": model}).model_dump())
    mean = math.ceil(int(first.target_lengths.sum()) / len(first)) + 1
    reason = (
        f"chosen: {_sizes(settings)}, dropout {model.dropout:g}, {chosen}, {train.precision}\n"
        f"because: {len(first):,} pairs of about {mean} target tokens"
    )
    return Choice(settings, reason)


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
    config = model_config(settings, corpus)
    with torch.device("meta"):
        model = build_encoder_decoder(config)
    looked_up = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    output = config["vocab_size"] * config["hidden_size"]  # which may share its matrix with an embedding
    return 6.0 * (output + sum(p.numel() for p in model.parameters() if id(p) not in looked_up))


def _batch_tokens(first: PairPart, most: int) -> int:
    """The tokens of a batch. An epoch has `BATCHES` or more: few pairs are worth more steps, not larger batches."""
    tokens = int(np.maximum(first.source_lengths, first.target_lengths).sum()) + len(first)
    return min(max(tokens // BATCHES // LEAST_BATCH * LEAST_BATCH, LEAST_BATCH), most)


def _model(asked: Settings, recipe: Recipe, embedding_size: int, corpus: ParallelCorpus) -> Any:
    """The settings of the model. Raises `UserError` for learned positions that are too few for the longest pair."""
    model = fill(asked.model, asked.model, hidden_size=recipe.size, **recipe.model)
    if isinstance(corpus.train, FreshPairs):  # no pair is read twice, so that none can be learnt by heart
        model = fill(model, asked.model, dropout=0.0)
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
