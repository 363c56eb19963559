"""Sizes of a forecaster for its series and its budget, where a person left them open."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from elman import environment
from elman.models.forecaster import build_forecaster
from elman.models.forecaster_settings import TransformerForecasterSettings
from elman.tasks import configuration
from elman.tasks.configuration import Settings
from elman.tasks.exchange import Choice
from elman.tasks.forecasting.corpus import ForecastCorpus
from elman.tasks.forecasting.objective import future_values
from elman.tasks.sizing import (
    WITH_SIZES,
    Recipe,
    check_ram,
    count_parameters,
    divide,
    fill,
    find_recipe,
    fitting_heads,
    learning_rate,
    step_seconds,
)
from elman.train.training import Training

RECURRENT = {"form": "segment", "dropout_output": 0.3}
TRANSFORMER = {"num_layers": 2, "dropout": 0.2}
RECIPES = {
    "gru": Recipe(3e-3, 128, model=RECURRENT),
    "lstm": Recipe(3e-3, 128, model=RECURRENT),
    "elman": Recipe(2e-3, 128, model=RECURRENT),
    "transformer": Recipe(1e-3, 64, model=TRANSFORMER),
}
TRAIN = {"average": 0.999, "weight_decay": 0.01}
MOST_WINDOWS, LEAST_WINDOWS = 256, 16  # of a batch
BATCHES = 32  # an epoch, at least, where the windows are few
LEAST_SEASON, PARTS = 4, 4  # a shorter season is no segment; the window then has so many segments
MOST_SERIES = 4096  # that have an embedding each
DRAWN = 256  # windows of a validation that draws samples
# Beyond so many steps, which are more than so many passes, a lower rate fits the noise less: it falls with the square
# root of their number. On ETTh1 (59,143 windows, horizon 96), the least validation loss of a training of 8,800 steps at
# 3.3e-4, as by their number itself, was .9020, and of one of 6,650 steps at 1.4e-3 .8986 (one run each).
STEPS, PASSES = 1200, 5


def choose(asked: Settings, corpus: ForecastCorpus) -> Choice:
    """Choose the settings that a person left open."""
    recipe = find_recipe(RECIPES, asked.kind)
    data = asked.data.model_copy(update={"horizon": corpus.horizon, "window": corpus.window, "season": corpus.season})
    windows = min(MOST_WINDOWS, max(LEAST_WINDOWS, len(corpus.train) // BATCHES))
    train = fill(asked.train, asked.train, device=environment.best_device(), batch_windows=windows, **TRAIN)
    settings = asked.model_copy(update={"data": data, "train": train})
    if asked.kind in WITH_SIZES:
        chosen = fill(train, asked.train, learning_rate=recipe.learning_rate)
        return Choice(settings.model_copy(update={"train": chosen}), f"chosen: learning rate {chosen.learning_rate:g}")
    model = _model(asked, recipe, corpus)
    if model.form == "likelihood":
        train = fill(train, asked.train, validation_windows=DRAWN)
    settings = settings.model_copy(update={"model": model, "train": train})
    steps = _steps(settings, corpus)
    passes = steps * train.batch_windows * train.accumulate / len(corpus.train)
    slower = max(min(1.0, STEPS / steps), min(1.0, PASSES / passes)) ** 0.5
    rate = float(f"{slower * learning_rate(recipe, model.hidden_size):.2g}")
    train = fill(train, asked.train, learning_rate=rate)
    settings = configuration.build(settings.model_copy(update={"train": train}).model_dump())
    segments = f", segments of {model.segment} steps" if model.segment > 1 else ""
    reason = (
        f"chosen: a window of {corpus.window} steps for a horizon of {corpus.horizon}, form {model.form}{segments}, "
        f"{model.num_layers} layer{'s'[: model.num_layers - 1]} of {model.hidden_size} units, "
        f"learning rate {train.learning_rate:g}, batches of {train.batch_windows} windows\n"
        f"because: a season has {corpus.season} steps, and {asked.budget} hold about {passes:,.1f} passes over "
        f"{len(corpus.train):,} windows"
    )
    return Choice(settings, reason)


def _model(asked: Settings, recipe: Recipe, corpus: ForecastCorpus) -> Any:
    model = fill(asked.model, asked.model, hidden_size=recipe.size, **recipe.model)
    if isinstance(model, TransformerForecasterSettings):
        heads = fitting_heads(model.hidden_size, model.num_heads)
        model = fill(model, asked.model, is_causal=model.form == "likelihood", num_heads=heads)
    elif model.bidirectional:
        model = fill(model, asked.model, form="direct")
    several = 1 < len(corpus.train.panel) <= MOST_SERIES and model.form == "segment"
    model = fill(model, asked.model, distribution=model.learnt, identities=several)
    return (
        model if model.form == "likelihood" else fill(model, asked.model, segment=segment(corpus.window, corpus.season))
    )


def _steps(settings: Settings, corpus: ForecastCorpus) -> float:
    """The optimiser steps that the budget holds; those of seconds are measured."""
    budget, train = settings.budget, settings.train
    if budget.unit == "steps":
        return budget.amount
    if budget.unit == "epochs":
        return budget.amount * len(corpus.train) / (train.batch_windows * train.accumulate)
    build = partial(build_forecaster, model_config(settings, corpus))
    check_ram(build, train)
    objective = future_values(settings, corpus)
    divide(objective)
    training = Training(build().to(train.device), objective, train, budget)
    training.model.train()

    def step() -> None:
        training.step()
        if train.device == "cuda":
            torch.cuda.synchronize()

    return budget.amount / step_seconds(step)


def segment(window: int, season: int) -> int:
    """The steps of a segment: a season where the window holds two, else a quarter of the window.

    >>> segment(96, 24), segment(20, 1)
    (24, 5)
    """
    return season if season >= LEAST_SEASON and 2 * season <= window else max(1, window // PARTS)


def model_config(settings: Settings, corpus: ForecastCorpus) -> dict[str, Any]:
    """Everything that `build_forecaster` makes the model from."""
    return {
        "model": settings.kind,
        "past_steps": corpus.window,
        "horizon": corpus.horizon,
        "channels": list(corpus.channels),
        "series": len(corpus.scaler.scales),
        **settings.model.model_dump(mode="json"),
    }


def operations(settings: Settings, corpus: ForecastCorpus) -> float:
    """Floating-point operations to train on one value of a horizon: 2 forward and 4 backward for each weight it uses.

    An encoder's weights are used at each step of the window, and in the form segment at each future segment.
    """
    model, config = settings.model, model_config(settings, corpus)
    steps = -(-corpus.window // model.segment)
    if model.form == "segment":
        steps += -(-corpus.horizon // model.segment)
    elif model.form == "likelihood":
        steps += corpus.horizon - 1
    return 6.0 * count_parameters(partial(build_forecaster, config)) * steps / corpus.horizon
