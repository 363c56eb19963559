"""Sizes of a classifier for its examples and its budget, where a person left them open (see `tasks/sizing.py`)."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch

from elman import environment
from elman.data.labelled_corpus import LabelledCorpus
from elman.errors import UserError
from elman.models.classifier import build_classifier
from elman.models.configuration import TransformerClassifierSettings
from elman.tasks import configuration
from elman.tasks.classification.objective import sequence_labels
from elman.tasks.classification.settings import ClassifierTraining
from elman.tasks.configuration import Settings
from elman.tasks.exchange import Choice
from elman.tasks.sizing import (
    WITH_SIZES,
    Recipe,
    fill,
    find_recipe,
    fitting_heads,
    largest_size,
    learning_rate,
    seconds_of_step,
)
from elman.train.objective import Place
from elman.wording import counted

RECIPES = {
    "gru": Recipe(3e-3, 128),
    "lstm": Recipe(3e-3, 128),
    "elman": Recipe(1e-3, 128),
    "transformer": Recipe(1e-3, 128),
}
# Hidden units at most where there are few examples, and how many for the square root of their number: of texts and of
# series. On SNIPS 64 units were right in 97.8 % (three seeds, 8,500 steps), 224 in 97.5 %.
FEWEST, UNITS = (64, 128), (0.5, 2.0)
EMBEDDING_SIZE = 64
# Of texts and of series: on SNIPS attention was right in 97.7 % (two seeds, 1,000 steps) and the greatest in 97.3 %, on
# Japanese Vowels the greatest in 98.6 % (three seeds, 600 steps) and the mean in 98.4 %.
POOLING = "attention", "max"  # the greatest also where a text's label is a number
LEAST_EPOCHS = 5  # passes over the examples that a budget must hold for a larger model to pay
BATCHES = 16  # an epoch, at least, where the examples are few
BATCH = 16, 64  # sequences: the fewest and the most
DROPOUT = 0.3
# After 8,500 steps on SNIPS, dropout of whole words beside that of n-grams took 6 to 11 % off the test nats in
# each of three pairs of trainings. Averaged weights were right in 97.5 % (six trainings), the last in 97.2 % (three).
WORD_DROPOUT, NGRAM_DROPOUT = 0.1, 0.3
AVERAGE = 0.998  # of the weights of readers of texts


def choose(asked: Settings, corpus: LabelledCorpus) -> Choice:
    """Choose the settings that a person left open. Raises `UserError` where they do not fit the labels."""
    _check(asked.train, corpus)
    recipe, N = find_recipe(RECIPES, asked.kind), len(corpus.train)
    settings = _of_any_size(asked, recipe, corpus)
    train = settings.train
    if asked.kind in WITH_SIZES:
        reason = f"chosen: learning rate {train.learning_rate:g}, batches of {train.batch_size}"
        return Choice(settings, reason)

    of_series = corpus.tokenizer is None
    pooling = POOLING[of_series or corpus.labels.kind == "number"]
    most_units = max(FEWEST[of_series], UNITS[of_series] * math.sqrt(N))

    def sized(size: int) -> Settings:
        return settings.model_copy(update={"model": _model(asked, recipe, size, pooling)})

    speed = None
    if asked.budget.unit == "seconds":  # of a small model, which spends more of its time on other things than products
        tried = largest_size(lambda size: size <= min(recipe.size, most_units))
        speed = _speed(sized(tried), corpus)

    def affordable(size: int) -> bool:
        return size <= most_units and _epochs(sized(size), corpus, speed) >= LEAST_EPOCHS

    settings = sized(largest_size(affordable))
    rate = learning_rate(recipe, settings.model.hidden_size)
    train = fill(settings.train, asked.train, learning_rate=rate, average=0.0 if of_series else AVERAGE)
    model = fill(settings.model, asked.model, dropout_pooled=DROPOUT)
    settings = settings.model_copy(update={"train": train, "model": model})
    epochs = _epochs(settings, corpus, speed)
    measured = f" at {speed / 1e9:,.0f} GFLOP/s (measured)" if speed else ""
    reason = (
        f"chosen: {_words(settings)}, dropout {model.dropout_pooled:g}, "
        f"learning rate {train.learning_rate:g}, batches of {train.batch_size}\n"
        f"because: {N:,} examples of about {round(float(corpus.train.lengths.mean()))} steps, "
        f"and {asked.budget} hold about {epochs:,.1f} passes over them{measured}"
    )
    return Choice(configuration.build(settings.model_dump()), reason)


def _of_any_size(asked: Settings, recipe: Recipe, corpus: LabelledCorpus) -> Settings:
    """The settings that do not depend on the model's size."""
    least, most = BATCH
    tokenizer = "auto" if corpus.tokenizer is None else corpus.tokenizer.kind
    train = fill(
        asked.train,
        asked.train,
        device=environment.best_device(),
        learning_rate=recipe.learning_rate,
        batch_size=min(max(len(corpus.train) // BATCHES, least), most),
        word_dropout=0.0 if corpus.tokenizer is None else WORD_DROPOUT,
        ngram_dropout=NGRAM_DROPOUT if tokenizer == "ngrams" else 0.0,
        **recipe.train,
    )
    data = asked.data.model_copy(update={"tokenizer": tokenizer})
    return asked.model_copy(update={"data": data, "train": train})


def model_config(settings: Settings, corpus: LabelledCorpus) -> dict[str, Any]:
    """Everything that `models.classifier.build_classifier` makes the model from."""
    tokenizer, scaler = corpus.tokenizer, corpus.scaler
    return {
        "model": settings.kind,
        "outputs": corpus.labels.size,
        "kind_of_labels": corpus.labels.kind,
        "vocab_size": None if tokenizer is None else tokenizer.vocab_size,
        "ngrams": tokenizer is not None and tokenizer.kind == "ngrams",
        "channels": None if scaler is None else scaler.channels,
        "missing": scaler is not None and scaler.missing,
        **settings.model.model_dump(),
    }


def operations(settings: Settings, corpus: LabelledCorpus) -> float:
    """Floating-point operations to train on one example: 2 forward and 4 backward for each weight and step."""
    with torch.device("meta"):
        model = build_classifier(model_config(settings, corpus))
    encoder = sum(p.numel() for p in model.encoder.parameters())
    return 6.0 * encoder * float(corpus.train.lengths.mean())


def _epochs(settings: Settings, corpus: LabelledCorpus, speed: float | None) -> float:
    """The passes over the examples that the budget holds; `speed` is in operations a second."""
    budget, N = settings.budget, len(corpus.train)
    if speed is not None:
        return speed * budget.amount / operations(settings, corpus) / N
    if budget.unit == "epochs":
        return budget.amount
    return budget.amount * settings.train.accumulate * settings.train.batch_size / N


def _speed(settings: Settings, corpus: LabelledCorpus) -> float:
    """Operations a second of training steps on a batch of middling length."""
    objective = sequence_labels(settings, corpus)
    steps = [int(objective.train.batch(0, index).lengths.max()) for index in range(objective.batches(0))]
    place = Place(0, steps.index(sorted(steps)[len(steps) // 2]), 0.0)
    build = partial(build_classifier, model_config(settings, corpus))
    seconds = seconds_of_step(build, objective, place, settings.train)
    return operations(settings, corpus) * len(corpus.train) / len(steps) / seconds


def _model(asked: Settings, recipe: Recipe, size: int, pooling: str) -> Any:
    """The settings of a model of a size."""
    sizes = {"hidden_size": size, "embedding_size": EMBEDDING_SIZE, "pooling": pooling}
    model = fill(asked.model, asked.model, **sizes, **recipe.model)
    if isinstance(model, TransformerClassifierSettings):
        return fill(model, asked.model, num_heads=fitting_heads(model.hidden_size, model.num_heads))
    return model


def _words(settings: Settings) -> str:
    model = settings.model
    both = " in both directions" if getattr(model, "bidirectional", False) else ""
    layers = f"{counted(model.num_layers, 'layer')} of {model.hidden_size} units"
    return f"{layers}{both}, {model.pooling} pooling"


def _check(train: ClassifierTraining, corpus: LabelledCorpus) -> None:
    """Raises `UserError` where a setting of the training is for labels of another kind."""
    kind = corpus.labels.kind
    if train.class_weights != "none" and kind == "number":
        raise UserError("class_weights", expected="classes, or several labels", got="numbers", exit_code=2)
    if train.label_smoothing and kind != "class":
        raise UserError("label_smoothing", expected="classes", got="other labels", exit_code=2)
    if train.metric not in METRICS[kind]:
        raise UserError("metric", expected=" or ".join(METRICS[kind]), got=train.metric, exit_code=2)


METRICS = {
    "class": ("loss", "accuracy", "macro_f1"),
    "several": ("loss", "exact_match", "macro_f1"),
    "number": ("loss", "mae"),
}
