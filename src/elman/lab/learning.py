"""How the models of the experiments learn: elman's own training, on batches that are drawn anew at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from elman.environment import one_thread
from elman.lab.experiment import Setting
from elman.state import State
from elman.train import loop
from elman.train.events import Step
from elman.train.objective import Loss, Objective, Place
from elman.train.schedule import Budget
from elman.train.settings import Optimization
from elman.train.training import Training

M = TypeVar("M", bound=nn.Module)


@dataclass
class Drawn:
    """An `Objective` without data: one epoch of `steps` batches, each read from a fresh state.

    `draw(model, step)` draws the batch of a step and returns the mean loss on it; `valid(model)` returns the loss that
    selects the best weights.
    """

    steps: int
    draw: Callable[[Any, int], Tensor]
    valid: Callable[[Any], float] = lambda model: math.nan
    training_size, validation_size, metric, adaptive = 1, 0, "loss", None

    def batches(self, epoch: int) -> int:
        """The steps of the training."""
        return self.steps

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        """The loss on the batch of a step."""
        return Loss(self.draw(model, place.batch), 1, None)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The validation loss."""
        return {"loss": self.valid(model)}

    def cost(self, metrics: dict[str, float]) -> float:
        """The validation loss."""
        return metrics["loss"]

    def describe(self, metrics: dict[str, float]) -> str:
        """The validation loss in words."""
        return f"loss {metrics['loss']:.4g}"

    def initial_state(self, model: nn.Module) -> State | None:
        """No state is carried."""
        return None


def learn(
    setting: Setting, make: Callable[[], M], objective: Objective, rate: float = 3e-3, **settings: Any
) -> tuple[M, list[Step]]:
    """Make a model, its weights drawn from the seed, and train it on one thread for one epoch of the objective.

    Returns the model, with its best weights where `validate_every` is set, and all steps. `rate` is the peak learning
    rate, `settings` are those of `Optimization`. Steps whose gradient is not finite are skipped, however many they are:
    a training that breaks down is a finding.
    """
    torch.manual_seed(setting.seed)
    model, steps = make(), objective.batches(0)
    own = {"learning_rate": rate, "warmup": 0.05, "final": 0.1, "beta2": 0.999, "weight_decay": 0.0}
    chosen = Optimization.model_validate(own | {"max_bad_steps": steps + 1} | settings)
    training, taken = Training(model, objective, chosen, Budget(steps, "steps")), []
    with one_thread():
        for step in loop.steps(training):
            taken.append(step)
            if chosen.validate_every and step.step % chosen.validate_every == 0:
                training.validate()
            setting.progress("training", step.step / steps)
    if training.best:
        model.load_state_dict(training.best)
    return model, taken
