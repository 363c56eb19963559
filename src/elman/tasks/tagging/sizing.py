"""Sizes of a tagger for its sentences and its budget, where a person left them open (see `tasks/sizing.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from elman import environment
from elman.data.spans import LETTERS, allowed_transitions
from elman.data.tagged_corpus import TaggedCorpus
from elman.data.vectors import read_vectors, vector_size
from elman.data.vocabulary import PADDING, UNKNOWN
from elman.errors import UserError
from elman.models.tagger import Tagger, build_tagger
from elman.tasks import configuration
from elman.tasks.configuration import Settings
from elman.tasks.exchange import Choice
from elman.tasks.sizing import (
    WITH_SIZES,
    Recipe,
    count_layers,
    dropout,
    fill,
    find_recipe,
    fitting_heads,
    largest_size,
    learning_rate,
    seconds_of_step,
    tokens_needed,
)
from elman.tasks.tagging.objective import tags
from elman.train.objective import Place

TWO = {"num_layers": 2}
# Where the slots of SNIPS are read 19 times, the words pay for 256 units: strict F1 of the test part 93.9, and 94.8 of
# a sketch of as many units with other dropout; 192 units gave 94.0 (one run each, within the noise of 700 sentences).
# Many small steps: Muon, whose step costs as much as some 300 words more, learns less in the same time than AdamW.
TRAIN = {"weight_decay": 0.05, "average": 0.999}
RECIPES = {
    "lstm": Recipe(3e-3, tokens_per_parameter=10, model=TWO, train=TRAIN),
    "gru": Recipe(3e-3, tokens_per_parameter=10, model=TWO, train=TRAIN),
    "elman": Recipe(2e-3, tokens_per_parameter=10, model=TWO, train=TRAIN),
    "transformer": Recipe(2e-3, 128, tokens_per_parameter=10, model={"num_layers": 3}, train=TRAIN),
}
DROPOUT, MOST_DROPOUT = 0.15, 0.45  # for each doubling of the passes over the sentences
OUTPUTS = 1.15  # times the dropout of inputs: that of the last layer's outputs
BATCHES = 400  # an epoch, at least, where the sentences are few
LEAST_WORDS, MOST_WORDS = 128, 1024  # of a batch


def build(config: Mapping[str, Any]) -> Tagger:
    """The tagger of a configuration, whose search keeps to the scheme of its tags."""
    names, scheme = config.get("tags"), config.get("scheme")
    if scheme is None or not names:
        return build_tagger(config)
    if scheme not in LETTERS:
        raise UserError("scheme", expected=" or ".join(LETTERS), got=repr(scheme))
    return build_tagger(config, torch.from_numpy(allowed_transitions(names, scheme)))


def model_config(settings: Settings, corpus: TaggedCorpus) -> dict[str, Any]:
    """Everything that `build` makes the model from."""
    return {
        "model": settings.kind,
        "word_vocab_size": len(corpus.words),
        "character_vocab_size": len(corpus.characters),
        "tags": list(corpus.tags.names),
        "scheme": corpus.tags.scheme,
        **settings.model.model_dump(),
    }


@torch.no_grad()
def begin(model: nn.Module, settings: Settings, corpus: TaggedCorpus) -> None:
    """Give the words of a new tagger their vectors, where there are some, scaled to the variance of the others."""
    path = getattr(settings.model, "vectors", None)
    if path is None or not isinstance(model, Tagger):
        return
    vectors, known = (torch.from_numpy(found) for found in read_vectors(path, corpus.words.names))
    known[[UNKNOWN, PADDING]] = False
    if known.any():
        model.reader.words.weight[known] = vectors[known] / vectors[known].std().clamp(min=1e-6)


def choose(asked: Settings, corpus: TaggedCorpus) -> Choice:
    """Choose the settings that a person left open."""
    recipe, words = find_recipe(RECIPES, asked.kind), sum(len(sentence.tokens) for sentence in corpus.train)
    train = fill(asked.train, asked.train, device=environment.best_device())
    train = fill(
        train,
        asked.train,
        precision="bfloat16" if environment.has_bfloat16(train.device) else "float32",
        learning_rate=recipe.learning_rate,
        batch_words=min(max(words // BATCHES // 64 * 64, LEAST_WORDS), MOST_WORDS),
        metric="accuracy" if corpus.tags.scheme is None else "span_f1",
        **recipe.train,
    )
    settings = asked.model_copy(update={"train": train})
    chosen = f"batches of {train.batch_words:,} words"
    if asked.kind in WITH_SIZES:
        return Choice(settings, f"chosen: learning rate {train.learning_rate:g}, {chosen}")

    def sized(size: int) -> Settings:
        return settings.model_copy(update={"model": _model(asked, recipe, size, corpus)})

    speed = _speed(sized(recipe.size), corpus) if asked.budget.unit == "seconds" else None

    def affordable(size: int) -> bool:
        epochs = _epochs(sized(size), corpus, words, speed)
        return tokens_needed(recipe, _layers(sized(size), corpus), epochs) <= epochs * words

    settings = sized(largest_size(affordable))
    epochs = _epochs(settings, corpus, words, speed)
    model = fill(settings.model, asked.model, dropout=dropout(epochs, DROPOUT, MOST_DROPOUT))
    if "dropout_output" in type(model).model_fields:
        model = fill(model, asked.model, dropout_output=round(OUTPUTS * model.dropout, 2))
    train = fill(settings.train, asked.train, learning_rate=learning_rate(recipe, model.hidden_size))
    settings = settings.model_copy(update={"model": model, "train": train})
    measured = f" at {speed / 1e9:,.0f} GFLOP/s (measured)" if speed else ""
    head = "a CRF" if model.crf else "no CRF"
    reason = (
        f"chosen: {model.num_layers} layers of {model.hidden_size} units, {head}, dropout {model.dropout:g}, "
        f"learning rate {train.learning_rate:g}, {chosen}, {train.precision}\n"
        f"because: {words:,} words in {len(corpus.train):,} sentences, "
        f"and {asked.budget} hold about {epochs:,.1f} passes over them{measured}"
    )
    return Choice(configuration.build(settings.model_dump()), reason)


def operations(settings: Settings, corpus: TaggedCorpus) -> float:
    """Floating-point operations to train on one word: 2 forward and 4 backward for each weight but the embeddings."""
    return 6.0 * _layers(settings, corpus)


def _layers(settings: Settings, corpus: TaggedCorpus) -> int:
    """The parameters of the layers."""
    return count_layers(partial(build_tagger, model_config(settings, corpus)))


def _epochs(settings: Settings, corpus: TaggedCorpus, words: int, speed: float | None) -> float:
    """The passes over the sentences that the budget holds; `speed` is in operations a second, for one of seconds."""
    budget, train = settings.budget, settings.train
    if speed is not None:
        return speed * budget.amount / operations(settings, corpus) / words
    if budget.unit == "epochs":
        return budget.amount
    return budget.amount * train.accumulate * train.batch_words / words


def _speed(settings: Settings, corpus: TaggedCorpus) -> float:
    """Operations a second of training steps on a batch of middling length."""
    task = tags(settings, corpus)
    words = [int(task.train.sentences.lengths[rows].sum()) for rows in task.train.plan(0)]
    place = Place(0, int(np.argsort(words)[len(words) // 2]), 0.0)
    seconds = seconds_of_step(partial(build, model_config(settings, corpus)), task, place, settings.train)
    return operations(settings, corpus) * words[place.batch] / seconds


def _model(asked: Settings, recipe: Recipe, size: int, corpus: TaggedCorpus) -> Any:
    """The settings of a model of a size."""
    model = fill(asked.model, asked.model, hidden_size=size, crf=corpus.tags.scheme is not None, **recipe.model)
    if model.vectors is not None:
        model = fill(model, asked.model, embedding_size=vector_size(model.vectors))
    if asked.kind == "transformer":
        return fill(model, asked.model, num_heads=fitting_heads(model.hidden_size, model.num_heads))
    return model
