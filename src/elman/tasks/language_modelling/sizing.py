"""Sizes of a language model for its text and its budget, where a person left them open (see `tasks/sizing.py`)."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
import torch
from torch.nn import functional as F

from elman import distributed, environment
from elman.cells import CELLS
from elman.data.corpus import Corpus
from elman.models import build
from elman.models.configuration import RecurrentSettings, TransformerSettings, resolve
from elman.state import State, detach
from elman.tasks import configuration
from elman.tasks.configuration import Settings
from elman.tasks.exchange import Choice
from elman.tasks.sizing import (
    LARGE_VOCABULARY,
    WITH_SIZES,
    Recipe,
    check_ram,
    dropout,
    fill,
    find_recipe,
    largest_size,
    learning_rate,
    step_seconds,
    tokens_needed,
)
from elman.train.optimizers import optimizer

Precision = Literal["float32", "bfloat16"]

OFFSETS = {"random_offsets": True}
RECIPES = {
    "lstm": Recipe(1e-2, tokens_per_parameter=18, train=OFFSETS),
    "gru": Recipe(9e-3, tokens_per_parameter=16, train=OFFSETS),
    "elman": Recipe(5.5e-3, tokens_per_parameter=36, train=OFFSETS),
    "transformer": Recipe(6e-3, 128, tokens_per_parameter=3, train={"optimizer": "muon", "muon_rate": 0.03}),
}
LANES, STEPS = 24, 64  # of a batch
WEIGHT_DECAY = 0.1
DROPOUT, MOST_DROPOUT = 0.07, 0.5  # for each doubling of the passes over the text, and at most
# Passes that a Transformer needs no dropout for, as many times as another model: in 3.4 passes over tiny Shakespeare, 0
# gave 1.464 nats, 0.04 (with random offsets) 1.502 and 0.15 1.566.
FREE_OF_TRANSFORMER = 3
WORTH = 1.2  # bfloat16 must be so many times faster, measured, to be worth its rounding


def choose(asked: Settings, corpus: Corpus) -> Choice:
    """Choose the settings that a person left open."""
    if all(section.model_fields_set >= type(section).model_fields.keys() for section in (asked.model, asked.train)):
        return Choice(asked, "every setting was given")  # there is nothing to measure for
    tokens, vocab_size, budget = len(corpus.train), corpus.tokenizer.vocab_size, asked.budget
    recipe = find_recipe(RECIPES, asked.kind)
    train = fill(asked.train, asked.train, device=environment.best_device(), weight_decay=WEIGHT_DECAY)
    train = fill(train, asked.train, **recipe.train)
    # A short text has room for a few short lanes only.
    train = fill(train, asked.train, k1=max(1, min(STEPS, (tokens - 1) // 2)))
    train = fill(train, asked.train, lanes=max(1, min(LANES, tokens // (4 * train.k1))))
    lanes = f"{train.lanes} lanes of {train.k1} steps"
    if asked.kind in WITH_SIZES:
        train = fill(train, asked.train, learning_rate=recipe.learning_rate)
        reason = f"chosen: learning rate {train.learning_rate:g}, {lanes}"
        return Choice(asked.model_copy(update={"train": train}), reason)

    def sized(size: int) -> Settings:
        return asked.model_copy(update={"train": train, "model": _of_size(asked.model, size, vocab_size)})

    measured = ""
    if budget.unit == "seconds":
        speed, precision = _measure(sized(recipe.size), asked, corpus)
        train = fill(train, asked.train, precision=precision)
        measured = f" at {speed / 1e9:,.0f} GFLOP/s in {precision} (measured)"

    def seen(settings: Settings) -> float:
        """How many tokens the budget holds."""
        if budget.unit == "seconds":
            return speed * budget.amount / operations(settings, corpus)
        batch = train.lanes * train.k1 * train.accumulate
        return budget.amount * (batch if budget.unit == "steps" else tokens)

    def affordable(size: int) -> bool:
        read = seen(sized(size))
        return tokens_needed(recipe, parameters(sized(size)), read / tokens) <= read

    settings = sized(largest_size(affordable))
    budgeted = seen(settings)
    settings = _finish(settings, asked, recipe, budgeted / tokens)
    model = settings.model
    dropped = model.dropout if isinstance(model, TransformerSettings) else model.dropout_output
    reason = (
        f"chosen: {model.num_layers} layer{'s'[: model.num_layers - 1]} of {model.hidden_size} units, "
        f"dropout {dropped:g}, learning rate {settings.train.learning_rate:g}, {lanes}\n"
        f"because: {budget} hold about {_millions(budgeted)} tokens{measured}: {_rounded(budgeted / tokens, 1)} passes "
        f"over the text, {_rounded(budgeted / parameters(settings), 0)} tokens a parameter"
    )
    return Choice(configuration.build(settings.model_dump()), reason)


def _millions(count: float) -> str:
    """Such as "2.2 million", and "31,000" of less than a tenth of a million."""
    return f"{count / 1e6:,.1f} million" if count >= 1e5 else f"{float(f'{count:.2g}'):,.0f}"


def _rounded(value: float, decimals: int) -> str:
    """A number with so many decimals, and one below 10 with two digits: 0 would say nothing of a short budget."""
    return f"{value:,.{decimals}f}" if value >= 10 else f"{value:.2g}"


def parameters(settings: Settings) -> int:
    """Of the layers, without embedding and output."""
    model = resolve(settings.model)
    H, L = model.hidden_size, model.num_layers
    if isinstance(model, TransformerSettings):
        return L * (4 * H * H + 2 * H * cast(int, model.feedforward_size))
    last = model.embedding_size if model.tied else H
    sizes = [model.embedding_size, *[H] * (L - 1), last]
    cell = CELLS[settings.kind]
    return sum(len(cell.rows) * H * (D + H * cell.recurrent) for D, H in pairwise(sizes))


def operations(settings: Settings, corpus: Corpus) -> float:
    """Floating-point operations to train on one token: 2 forward and 4 backward for each weight that the token uses."""
    model = settings.model
    weights = parameters(settings) + corpus.tokenizer.vocab_size * model.hidden_size
    if isinstance(model, TransformerSettings):
        reach = settings.train.k1 / 2 + (model.window or 0)
        weights += 2 * model.num_layers * model.hidden_size * int(reach)
    return 6.0 * weights


def model_config(settings: Settings, corpus: Corpus) -> dict[str, Any]:
    """Everything that `models.build` makes the model from."""
    return {"model": settings.kind, "vocab_size": corpus.tokenizer.vocab_size, **settings.model.model_dump()}


def _of_size(model: RecurrentSettings | TransformerSettings, size: int, vocab_size: int) -> Any:
    model = fill(model, model, hidden_size=size)
    size = model.hidden_size
    if isinstance(model, TransformerSettings):
        # Tokens further back than the window are reached through the layers: num_layers * (window - 1) steps.
        return fill(model, model, num_heads=_heads(size), window=max(64, size // 2), tied=True)
    large = vocab_size >= LARGE_VOCABULARY or model.tied
    return fill(model, model, embedding_size=size if large else 64, tied=large)


def _heads(size: int) -> int:
    """How many heads make about 64 units each, of an even number in any case."""
    fitting = [heads for heads in range(1, size + 1) if size % heads == 0 and size // heads % 2 == 0]
    return min(fitting, key=lambda heads: abs(size / heads - 64), default=1)


def _finish(settings: Settings, asked: Settings, recipe: Recipe, epochs: float) -> Settings:
    """Settings with those that follow from the size, and dropout for a text that is read many times."""
    rate = learning_rate(recipe, settings.model.hidden_size)
    attends = isinstance(settings.model, TransformerSettings)
    p = dropout(epochs / FREE_OF_TRANSFORMER if attends else epochs, DROPOUT, MOST_DROPOUT)
    dropouts = ("dropout",) if attends else ("dropout_output", "dropout_hidden")
    return settings.model_copy(
        update={
            "train": fill(settings.train, asked.train, learning_rate=rate),
            "model": fill(settings.model, asked.model, **dict.fromkeys(dropouts, p)),
        }
    )


def _measure(settings: Settings, asked: Settings, corpus: Corpus) -> tuple[float, Precision]:
    """Operations a second of training steps, and the precision that gives the most."""
    precisions: list[Precision] = [settings.train.precision]
    if "precision" not in asked.train.model_fields_set and environment.has_bfloat16(settings.train.device):
        precisions = ["float32", "bfloat16"]
    device, config = settings.train.device, model_config(settings, corpus)
    check_ram(partial(build, config), settings.train)
    model = build(config).to(device)
    lanes, k1 = settings.train.lanes, settings.train.k1
    mine = len(distributed.here().share(np.arange(lanes)))  # of several processes that measure together
    tokens = torch.randint(config["vocab_size"], (mine, k1), device=device)
    carried: State | None = None
    updates = {name: optimizer(model, settings.train.model_copy(update={"precision": name})) for name in precisions}

    def step(precision: Precision) -> None:
        nonlocal carried
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            logits, after = model(tokens, carried)
        carried = detach(after)
        F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten()).backward()
        updates[precision].step()
        updates[precision].zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    seconds = {precision: step_seconds(partial(step, precision)) for precision in precisions}
    best = min(precisions, key=lambda name: seconds[name] * (WORTH if name == "bfloat16" else 1))
    return operations(settings, corpus) * lanes * k1 / seconds[best], best
