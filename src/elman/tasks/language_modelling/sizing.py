"""Sizes that fit the budget: what a person left open follows from the text, the budget and the machine.

The best model of two minutes is small, and the best model of a night is not. With a fixed number of operations C, a
model of P parameters learns best when it reads some r tokens for each of them (Hoffmann et al. 2022, "Training
compute-optimal large language models", found r = 20 for the Transformer; ours are from trainings of minutes):

    C = 6 P D,   D = r P      hence      P = sqrt(C / (6 r)).

For a budget of wall time, C is the machine's speed, measured on training steps, times the seconds. A budget of
steps or epochs gives D itself and measures nothing, so it makes the same model on every machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Literal, cast

import torch
from torch.nn import functional as F

from elman import environment
from elman.cells import CELLS
from elman.models import build
from elman.models.configuration import RecurrentSettings, TransformerSettings, resolve
from elman.state import State, detach
from elman.tasks import configuration
from elman.tasks.capacity import check_memory
from elman.tasks.configuration import Settings
from elman.tasks.task import Choice, fill
from elman.train.optimizers import optimizer

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Recipe:
    """What was found to train a kind of model well in a few minutes."""

    tokens_per_parameter: float
    learning_rate: float  # of a model of width `size`; it falls with the square root of the width
    size: int  # hidden units
    lanes: int = 24
    k1: int = 64
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the training, beside these


RECIPES = {
    "lstm": Recipe(18, learning_rate=1e-2, size=256),
    "gru": Recipe(16, learning_rate=9e-3, size=256),
    "elman": Recipe(36, learning_rate=5.5e-3, size=256),
    "transformer": Recipe(3, learning_rate=6e-3, size=128, settings={"optimizer": "muon", "muon_rate": 0.03}),
}
OF_ANY_CELL = Recipe(16, learning_rate=9e-3, size=256)  # the GRU's, for a cell that has none of its own
OWN_RATE = 2e-3  # the learning rate of somebody's own model
SIZES = range(64, 2049, 32)  # hidden units
LARGE_VOCABULARY = 1024  # tokens; from here on, a language model's embedding and output share their matrix
WEIGHT_DECAY = 0.1
FREE_EPOCHS = 3  # passes over the text that need no dropout
PROBE_PAUSES = (0.0, 0.5, 0.5)  # seconds before each round: a neighbour may be busy for a moment
PROBE_SECONDS, PROBE_STEPS = 0.3, 3  # of a round, at least
WORTH = 1.2  # so many times faster must bfloat16 be, measured, to be worth its rounding


def choose(asked: Settings, tokens: int, vocab_size: int) -> Choice:
    """Fill in what was left open.

    Args:
        asked: what was asked for; what it leaves open is not in its sections' `model_fields_set`.
        tokens: how many tokens of training text there are.
        vocab_size: how many different ones.
    """
    if all(section.model_fields_set >= type(section).model_fields.keys() for section in (asked.model, asked.train)):
        return Choice(asked, "every setting was given")  # there is nothing to measure for
    recipe, budget = RECIPES.get(asked.kind, OF_ANY_CELL), asked.budget
    train = fill(asked.train, asked.train, device=environment.best_device(), lanes=recipe.lanes, k1=recipe.k1)
    train = fill(train, asked.train, weight_decay=WEIGHT_DECAY, **recipe.settings)
    # A short text has room for a few short lanes only.
    train = fill(train, asked.train, k1=max(1, min(train.k1, (tokens - 1) // 2)))
    train = fill(train, asked.train, lanes=max(1, min(train.lanes, tokens // (4 * train.k1))))
    draft = asked.model_copy(update={"train": train})
    if asked.kind == configuration.OWN:  # its sizes are its own
        train = fill(train, asked.train, learning_rate=OWN_RATE)
        reason = f"chosen: learning rate {train.learning_rate:g}, {train.lanes} lanes of {train.k1} steps"
        return Choice(asked.model_copy(update={"train": train}), reason)

    def sized(size: int) -> Settings:
        return draft.model_copy(update={"model": _of_size(asked.model, size, vocab_size)})

    measured = ""
    if budget.unit == "seconds":
        speed, precision = _measure(sized(recipe.size), asked, vocab_size)
        draft = draft.model_copy(update={"train": fill(draft.train, asked.train, precision=precision)})
        measured = f" at {speed / 1e9:,.0f} GFLOP/s in {precision} (measured)"

    def seen(settings: Settings) -> float:
        """How many tokens the budget holds."""
        if budget.unit == "seconds":
            return speed * budget.amount / operations(settings, vocab_size)
        batch = train.lanes * train.k1 * train.accumulate
        return budget.amount * (batch if budget.unit == "steps" else tokens)

    fitting = [n for n in SIZES if parameters(sized(n)) * recipe.tokens_per_parameter <= seen(sized(n))]
    settings = sized(max(fitting, default=SIZES[0]))
    budgeted = seen(settings)
    settings = _finish(settings, asked, recipe, budgeted / tokens)
    model, train = settings.model, settings.train
    dropout = model.dropout if isinstance(model, TransformerSettings) else model.dropout_output
    reason = (
        f"chosen: {model.num_layers} layer{'s'[: model.num_layers - 1]} of {model.hidden_size} units, "
        f"dropout {dropout:g}, learning rate {train.learning_rate:g}, {train.lanes} lanes of {train.k1} steps\n"
        f"because: {budget} hold about {budgeted / 1e6:,.1f} million tokens{measured}: "
        f"{budgeted / tokens:,.1f} passes over the text, {budgeted / parameters(settings):,.0f} tokens a parameter"
    )
    return Choice(configuration.build(settings.model_dump()), reason)


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


def operations(settings: Settings, vocab_size: int) -> float:
    """Floating-point operations to train on one token: 2 forward and 4 backward for each weight that is used."""
    model = settings.model
    weights = parameters(settings) + vocab_size * model.hidden_size
    if isinstance(model, TransformerSettings):
        reach = settings.train.k1 / 2 + (model.window or 0)
        weights += 2 * model.num_layers * model.hidden_size * int(reach)
    return 6.0 * weights


def model_config(settings: Settings, vocab_size: int) -> dict[str, Any]:
    """What `models.build` makes the model from."""
    return {"model": settings.kind, "vocab_size": vocab_size, **settings.model.model_dump()}


def _of_size(model: RecurrentSettings | TransformerSettings, size: int, vocab_size: int) -> Any:
    large = vocab_size >= LARGE_VOCABULARY or getattr(model, "tied", False)
    model = fill(model, model, hidden_size=size)
    if isinstance(model, TransformerSettings):
        # What lies further back is reached through the layers: num_layers * (window - 1) steps.
        window = max(64, model.hidden_size // 2)
        return fill(model, model, num_heads=_heads(model.hidden_size), window=window, tied=True)
    return fill(model, model, embedding_size=model.hidden_size if large else 64, tied=large)


def _heads(size: int) -> int:
    """Heads of about 64 units, of an even number in any case."""
    fitting = [heads for heads in range(1, size + 1) if size % heads == 0 and size // heads % 2 == 0]
    return min(fitting, key=lambda heads: abs(size / heads - 64), default=1)


def _finish(settings: Settings, asked: Settings, recipe: Recipe, epochs: float) -> Settings:
    """What follows from the size: the learning rate, and dropout where the text is read many times."""
    rate = recipe.learning_rate * math.sqrt(recipe.size / settings.model.hidden_size)
    train = fill(settings.train, asked.train, learning_rate=float(f"{rate:.2g}"))
    p = round(min(0.5, 0.07 * max(0.0, math.log2(max(epochs, 1e-9) / FREE_EPOCHS))), 2)
    if isinstance(settings.model, TransformerSettings):
        model: Any = fill(settings.model, asked.model, dropout=p)
    else:
        model = fill(settings.model, asked.model, dropout_output=p, dropout_hidden=p)
    return settings.model_copy(update={"train": train, "model": model})


def _measure(settings: Settings, asked: Settings, vocab_size: int) -> tuple[float, Precision]:
    """Operations a second of training steps, and the precision that gives the most."""
    precisions: list[Precision] = [settings.train.precision]
    if "precision" not in asked.train.model_fields_set and environment.has_bfloat16(settings.train.device):
        precisions = ["float32", "bfloat16"]
    device = settings.train.device
    check_memory(partial(build, model_config(settings, vocab_size)), settings.train)
    model = build(model_config(settings, vocab_size)).to(device)
    tokens = torch.randint(vocab_size, (settings.train.lanes, settings.train.k1), device=device)
    carried: State | None = None
    update = optimizer(model, settings.train)

    def step(precision: Precision) -> None:
        nonlocal carried
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            logits, after = model(tokens, carried)
        carried = detach(after)
        F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten()).backward()
        update.step()
        update.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    seconds = {precision: _seconds(partial(step, precision)) for precision in precisions}
    best = min(precisions, key=lambda name: seconds[name] * (WORTH if name == "bfloat16" else 1))
    return operations(settings, vocab_size) * tokens.numel() / seconds[best], best


def _seconds(step: Callable[[], None]) -> float:
    """The least time of a step: what else the machine does only ever makes a step longer."""
    step()
    best = math.inf
    for pause in PROBE_PAUSES:
        time.sleep(pause)
        begun = time.perf_counter()
        taken = 0
        while time.perf_counter() - begun < PROBE_SECONDS or taken < PROBE_STEPS:
            before = time.perf_counter()
            step()
            best = min(best, time.perf_counter() - before)
            taken += 1
    return best
