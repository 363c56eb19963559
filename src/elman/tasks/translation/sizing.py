"""Sizes of an encoder-decoder that fit the budget, where a person left them open."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from elman import environment
from elman.data.batches import PairPart
from elman.data.endless import FreshPairs
from elman.data.pair_corpus import ParallelCorpus
from elman.errors import UserError
from elman.models.configuration import RecurrentTranslatorSettings
from elman.tasks import configuration
from elman.tasks.configuration import Settings
from elman.tasks.language_modelling.sizing import LARGE_VOCABULARY
from elman.tasks.task import Choice, fill


@dataclass(frozen=True)
class Recipe:
    """What was found to train a kind of encoder-decoder well in minutes."""

    learning_rate: float
    model: Mapping[str, Any]
    train: Mapping[str, Any] = field(default_factory=dict)


RECURRENT = {"hidden_size": 256, "num_layers": 1, "tied": True, "dropout": 0.2}
MUON = {"optimizer": "muon", "muon_rate": 0.02}
RECIPES = {
    "lstm": Recipe(4e-3, RECURRENT, MUON),
    "gru": Recipe(3e-3, RECURRENT, MUON),
    "elman": Recipe(2e-3, RECURRENT, MUON),
    "transformer": Recipe(
        4e-3,
        {"hidden_size": 128, "encoder_layers": 4, "decoder_layers": 4, "num_heads": 4, "dropout": 0.15},
        MUON,
    ),
}
OF_ANY_CELL = Recipe(3e-3, RECURRENT, MUON)  # the GRU's, for a cell that has none of its own
OF_ONES_OWN = Recipe(2e-3, {})  # for a model that is not elman's
WEIGHT_DECAY = 0.05
BATCHES = 128  # an epoch, at least, where the pairs are few
LEAST_BATCH = 256  # tokens


@dataclass(frozen=True)
class Vocabulary:
    """What suits a vocabulary of so many tokens."""

    embedding_size: int  # of a recurrent model
    label_smoothing: float
    most_tokens: int  # a batch


SMALL = Vocabulary(64, label_smoothing=0.0, most_tokens=2048)  # characters, commands: there is one right answer
LARGE = Vocabulary(256, label_smoothing=0.1, most_tokens=4096)  # words and byte pairs: there are several


def choose(asked: Settings, corpus: ParallelCorpus) -> Choice:
    """Fill in what was left open.

    Args:
        asked: what was asked for; what it leaves open is not in its sections' `model_fields_set`.
        corpus: what there is to learn from.
    """
    recipe = OF_ONES_OWN if asked.kind == configuration.OWN else RECIPES.get(asked.kind, OF_ANY_CELL)
    first = corpus.train.epoch(0)
    vocabulary = LARGE if corpus.target_tokenizer.vocab_size >= LARGE_VOCABULARY else SMALL
    train = fill(asked.train, asked.train, device=environment.best_device())
    train = fill(
        train,
        asked.train,
        precision="bfloat16" if environment.has_bfloat16(train.device) else "float32",
        learning_rate=recipe.learning_rate,
        weight_decay=WEIGHT_DECAY,
        batch_tokens=_batch_tokens(first, vocabulary.most_tokens),
        label_smoothing=vocabulary.label_smoothing,
        **recipe.train,
    )
    if asked.kind == configuration.OWN:  # its sizes are its own
        reason = f"chosen: learning rate {train.learning_rate:g}, batches of {train.batch_tokens:,} tokens"
        return Choice(asked.model_copy(update={"train": train}), reason)
    longest = _longest(asked, corpus)
    # What is never read twice can't be learnt by heart.
    unseen = {"dropout": 0.0} if isinstance(corpus.train, FreshPairs) else {}
    model = fill(asked.model, asked.model, **{**recipe.model, **unseen})
    if isinstance(model, RecurrentTranslatorSettings):
        model = fill(model, asked.model, embedding_size=vocabulary.embedding_size)
    else:
        heads = max(n for n in range(1, model.num_heads + 1) if model.hidden_size % n == 0)
        model = fill(model, asked.model, num_heads=heads, max_positions=longest)
        if model.positions == "learned" and model.max_positions < longest:
            expected = f"at least the longest pair's {longest}"
            raise UserError("max_positions", expected=expected, got=model.max_positions, exit_code=2)
    settings = configuration.build(asked.model_copy(update={"model": model, "train": train}).model_dump())
    mean = math.ceil(int(first.target_lengths.sum()) / len(first)) + 1
    reason = (
        f"chosen: {_sizes(settings)}, dropout {settings.model.dropout:g}, "
        f"learning rate {settings.train.learning_rate:g}, batches of {settings.train.batch_tokens:,} tokens, "
        f"{settings.train.precision}\n"
        f"because: {len(first):,} pairs of about {mean} target tokens"
    )
    return Choice(settings, reason)


def _batch_tokens(first: PairPart, most: int) -> int:
    """So many that an epoch has a hundred batches or more: few pairs are worth more steps, not larger ones."""
    tokens = int(np.maximum(first.source_lengths, first.target_lengths).sum()) + len(first)
    return min(max(tokens // BATCHES // LEAST_BATCH * LEAST_BATCH, LEAST_BATCH), most)


def _longest(asked: Settings, corpus: ParallelCorpus) -> int:
    """The most tokens on a side of any pair, `<eod>` among them."""
    valid = corpus.valid
    return max(asked.data.max_length, int(valid.source_lengths.max()), int(valid.target_lengths.max())) + 1


def _sizes(settings: Settings) -> str:
    model = settings.model
    if settings.kind == "transformer":
        return f"{model.encoder_layers}+{model.decoder_layers} layers of {model.hidden_size} units"
    attention = f"{model.attention} attention" if model.attention != "none" else "no attention"
    return f"{model.num_layers}+{model.num_layers} layers of {model.hidden_size} units, {attention}"


def operations(build: Callable[[Mapping[str, Any]], nn.Module], config: Mapping[str, Any]) -> float:
    """Floating-point operations to train on one target: 2 forward and 4 backward for each weight but the embeddings."""
    with torch.device("meta"):
        model = build(config)
    looked_up = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    output = config["vocab_size"] * config["hidden_size"]  # which may share its matrix with an embedding
    return 6.0 * (output + sum(p.numel() for p in model.parameters() if id(p) not in looked_up))
