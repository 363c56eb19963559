"""Sizes that fit the budget, for every task: settings that a person left open follow from data, budget and machine.

The best model of two minutes is small, and the best model of a night is not. With a fixed number of operations C, a
model of P parameters learns best when it reads some r tokens for each of them (Hoffmann et al. 2022, "Training
compute-optimal large language models", found r = 20 for the Transformer; ours are from trainings of minutes):

    C = 6 P D,   D = r P      hence      P = sqrt(C / (6 r)).

Data that are read again teach less, and a larger model learns more from each reading: r falls with the passes over the
data. LSTMs in about the same time, on two fifths of tiny Shakespeare: 22 tokens for a parameter in 10.7 passes gave
1.538 nats (three runs alike), 9 in 7.3 passes 1.528 (the mean of five from 1.523 to 1.538), 4 in 5 passes 1.529. On
Python's own sources, none of which was read twice, 19 gave 1.343, and 7 gave 1.365.

For a budget of wall time, C is the machine's speed, measured on training steps, times the seconds. A budget of steps or
epochs gives D itself and measures nothing, so it makes the same model on every machine.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import nn

from elman import distributed, environment, launcher
from elman.errors import UserError
from elman.models.configuration import IMPORTED
from elman.settings import Section
from elman.tasks.configuration import OWN
from elman.train.objective import Divisible, Objective, Place
from elman.train.optimizers import optimizer
from elman.train.settings import Optimization

S = TypeVar("S", bound=Section)

LARGE_VOCABULARY = 1024  # tokens: from here on they are words or byte pairs, below they are characters
# Numbers of four bytes for each parameter, at least: its value, its gradient, and the optimiser's state.
NUMBERS = {"adamw": 4, "muon": 3, "sgd": 2, "ntasgd": 2}
SIZES = range(64, 2049, 32)  # hidden units
FREE_EPOCHS = 3  # passes over the data that teach as much as new data, and need no dropout
PROBE_PAUSES = (0.0, 0.5, 0.5)  # seconds before each round: a neighbour may be busy for a moment
PROBE_SECONDS, PROBE_STEPS = 0.3, 3  # of a round, at least


@dataclass(frozen=True)
class Recipe:
    """Settings that were found to train a kind of model well in a few minutes."""

    learning_rate: float  # of a model of width `size`
    size: int = 256  # hidden units
    tokens_per_parameter: float = 0.0  # that are read in few passes, for each parameter of the layers
    model: Mapping[str, Any] = field(default_factory=dict)  # further settings of the model
    train: Mapping[str, Any] = field(default_factory=dict)  # further settings of the training


# For models that have sizes of their own: a person's, and one of another framework, which has been trained already.
WITH_SIZES = {OWN: Recipe(2e-3), IMPORTED: Recipe(1e-3)}


def find_recipe(recipes: Mapping[str, Recipe], kind: str) -> Recipe:
    """The recipe of a kind of model; a cell without a recipe takes the GRU's."""
    return WITH_SIZES.get(kind) or recipes.get(kind, recipes["gru"])


def largest_size(affordable: Callable[[int], bool]) -> int:
    """The largest of `SIZES` that a budget affords, as it affords all that are smaller; or the smallest of them.

    >>> largest_size(lambda size: size**2 < 10_000), largest_size(lambda size: False)
    (96, 64)
    """
    return SIZES[max(0, bisect_left(SIZES, True, key=lambda size: not affordable(size)) - 1)]


def learning_rate(recipe: Recipe, size: int) -> float:
    """The recipe's learning rate for another width: it falls with the square root of the width.

    >>> learning_rate(Recipe(1e-2, 256), 1024)
    0.005
    """
    return float(f"{recipe.learning_rate * math.sqrt(recipe.size / size):.2g}")


def doublings(epochs: float) -> float:
    """How often the passes over the data double beyond those that teach as much as new data.

    >>> doublings(2), doublings(4 * FREE_EPOCHS)
    (0.0, 2.0)
    """
    return max(0.0, math.log2(max(epochs, 1e-9) / FREE_EPOCHS))


def tokens_needed(recipe: Recipe, parameters: int, epochs: float) -> float:
    """The tokens that pay for so many parameters of the layers, where they are read in so many passes over the data.

    >>> recipe = Recipe(1e-2, tokens_per_parameter=18)
    >>> tokens_needed(recipe, 1000, 1), tokens_needed(recipe, 1000, 4 * FREE_EPOCHS)
    (18000.0, 6000.0)
    """
    return parameters * recipe.tokens_per_parameter / (1 + doublings(epochs))


def dropout(epochs: float, a_doubling: float, most: float) -> float:
    """Dropout for so many passes over the data: as much for each doubling beyond those that need none.

    >>> dropout(2, 0.1, 0.5), dropout(4 * FREE_EPOCHS, 0.1, 0.5), dropout(1000, 0.1, 0.5)
    (0.0, 0.2, 0.5)
    """
    return round(min(most, a_doubling * doublings(epochs)), 2)


def fitting_heads(size: int, most: int) -> int:
    """The most heads of an even size, as rotary positions have them, into which a size falls; 1 where it does not.

    >>> fitting_heads(64, 4), fitting_heads(4, 4), fitting_heads(10, 4)
    (4, 2, 1)
    """
    return max((heads for heads in range(1, most + 1) if size % (2 * heads) == 0), default=1)


def step_seconds(step: Callable[[], None]) -> float:
    """The least time of a training step: other work of the machine only ever makes a step longer.

    Where several processes measure together, it is that of the slowest.
    """
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
    return distributed.here().most(best)


def seconds_of_step(build: Callable[[], nn.Module], objective: Objective, place: Place, train: Optimization) -> float:
    """The least time of a training step on the batch at `place`, of the model that `build` makes.

    Each of several processes reads its part of the batch; what they send each other is not measured.

    Raises:
        UserError: the training needs more RAM than there is.
    """
    check_ram(build, train)
    model, device = build().to(train.device), train.device
    update = optimizer(model, train)
    divide(objective)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=train.precision == "bfloat16"):
            mean = objective.loss(model, place, None).mean
        mean.backward()
        update.step()
        update.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    return step_seconds(step)


def divide(objective: Objective) -> None:
    """Let an objective that is measured read the part of each batch that is this process's."""
    ranks = distributed.here()
    if ranks.size > 1 and isinstance(objective, Divisible):
        objective.divide(ranks)


def count_layers(build: Callable[[], nn.Module]) -> int:
    """The parameters of the layers, without embeddings and what is tied to them; nothing is allocated."""
    with torch.device("meta"):
        model = build()
    looked_up = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    return sum(p.numel() for p in model.parameters() if id(p) not in looked_up)


def count_parameters(build: Callable[[], nn.Module]) -> int:
    """The parameters of the model that `build` makes; nothing is allocated."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


def check_ram(build: Callable[[], nn.Module], train: Optimization) -> None:
    """See that the memory holds the model that `build` makes and its training; nothing is allocated.

    Raises:
        UserError: the training needs more RAM than there is.
    """
    available, parameters = environment.ram(train.device), count_parameters(build)
    copies = launcher.launched_here() if train.device == "cpu" else 1
    needed = 4 * NUMBERS[train.optimizer] * parameters * copies // (launcher.launched() if train.sharded else 1)
    if available is not None and needed > available:
        raise UserError(
            f"the model is too large for the {'machine' if train.device == 'cpu' else 'GPU'}'s memory (RAM)",
            expected=f"at most {environment.bytes_in_words(available)}",
            got=f"{environment.bytes_in_words(needed)} to train {parameters:,} parameters",
            remedy="make it smaller: its hidden_size, its layers, its vocabulary; or divide it over several machines: "
            "--set sharded=true",
        )


def fill(section: S, asked: Section, **values: Any) -> S:
    """A section with these values, except for the settings that a person asked for."""
    return section.model_copy(update={key: v for key, v in values.items() if key not in asked.model_fields_set})
