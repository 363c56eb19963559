"""Sizes of a forecaster for its series and its budget, where a person left them open."""

from __future__ import annotations

from functools import partial
from typing import Any

from elman import environment
from elman.models.forecaster import build_forecaster
from elman.models.forecaster_settings import TransformerForecasterSettings
from elman.tasks import configuration
from elman.tasks.configuration import OWN, Settings
from elman.tasks.forecasting.corpus import ForecastCorpus
from elman.tasks.sizing import Recipe, count_parameters, find_recipe, fitting_heads, learning_rate
from elman.tasks.task import Choice, fill

RECURRENT = {"form": "segment", "dropout_output": 0.3}
TRANSFORMER = {"num_layers": 2, "dropout": 0.2}
RECIPES = {
    "gru": Recipe(1e-3, 128, model=RECURRENT),
    "lstm": Recipe(1e-3, 128, model=RECURRENT),
    "elman": Recipe(1e-3, 128, model=RECURRENT),
    "transformer": Recipe(1e-3, 64, model=TRANSFORMER),
}
TRAIN = {"average": 0.999, "weight_decay": 0.01}
MOST_WINDOWS, LEAST_WINDOWS = 256, 16  # of a batch
BATCHES = 32  # an epoch, at least, where the windows are few
LEAST_SEASON, PARTS = 4, 4  # a shorter season is no segment; the window then has so many segments
DRAWN = 256  # windows of a validation that draws samples


def choose(asked: Settings, corpus: ForecastCorpus) -> Choice:
    """Choose the settings that a person left open."""
    recipe = find_recipe(RECIPES, asked.kind)
    data = fill(asked.data, asked.data, horizon=corpus.horizon, window=corpus.window, season=corpus.season)
    data = data.model_copy(update={"horizon": corpus.horizon, "window": corpus.window, "season": corpus.season})
    windows = min(MOST_WINDOWS, max(LEAST_WINDOWS, len(corpus.train) // BATCHES))
    train = fill(asked.train, asked.train, device=environment.best_device(), batch_windows=windows, **TRAIN)
    settings = asked.model_copy(update={"data": data, "train": train})
    if asked.kind == OWN:
        chosen = fill(train, asked.train, learning_rate=recipe.learning_rate)
        return Choice(settings.model_copy(update={"train": chosen}), f"chosen: learning rate {chosen.learning_rate:g}")
    model = _model(asked, recipe, corpus)
    train = fill(train, asked.train, learning_rate=learning_rate(recipe, model.hidden_size))
    if model.form == "likelihood":
        train = fill(train, asked.train, validation_windows=DRAWN)
    settings = configuration.build(settings.model_copy(update={"model": model, "train": train}).model_dump())
    segments = f", segments of {model.segment} steps" if model.segment > 1 else ""
    reason = (
        f"chosen: a window of {corpus.window} steps for a horizon of {corpus.horizon}, form {model.form}{segments}, "
        f"{model.num_layers} layer{'s'[: model.num_layers - 1]} of {model.hidden_size} units, "
        f"learning rate {train.learning_rate:g}, batches of {train.batch_windows} windows\n"
        f"because: a season has {corpus.season} steps, and there are {len(corpus.train):,} windows"
    )
    return Choice(settings, reason)


def _model(asked: Settings, recipe: Recipe, corpus: ForecastCorpus) -> Any:
    model = fill(asked.model, asked.model, hidden_size=recipe.size, **recipe.model)
    if isinstance(model, TransformerForecasterSettings):
        heads = fitting_heads(model.hidden_size, model.num_heads)
        model = fill(model, asked.model, is_causal=model.form == "likelihood", num_heads=heads)
    elif model.bidirectional:
        model = fill(model, asked.model, form="direct")
    if model.form == "likelihood":
        return fill(model, asked.model, distribution="student_t")
    steps = segment(corpus.window, corpus.season)
    return fill(model, asked.model, segment=steps)


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
