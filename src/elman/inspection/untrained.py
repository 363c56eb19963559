"""A trained model beside the same model before its training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from elman.models.initialization import initial_model
from elman.report import Line
from elman.train.settings import Optimization

M = TypeVar("M", bound=nn.Module)

KEYS = ("trained", "untrained")  # the two models' names in JSON
UNKNOWN = 1  # the seed of the untrained model where the run's own seed is unknown


def untrained(build: Callable[[], M], train: Optimization | None) -> tuple[str, M]:
    """The model that a run began with, bit by bit, and its name; torch's random numbers stay as they were.

    A model folder alone (`train` is None) does not say its seed; the model then has another seed, and its name says so.
    """
    with torch.random.fork_rng(devices=[]):
        model = initial_model(build, UNKNOWN if train is None else train.seed).eval()
    return ("untrained, another seed" if train is None else "untrained"), model


def model_line(
    name: str,
    x: npt.NDArray[Any],
    quantiles: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]],
) -> Line:
    """A model's line in a chart, from its low, middle and high quantiles at every x; dashed for the untrained model."""
    low, middle, high = quantiles
    trained = name == KEYS[0]
    return Line(name, x, middle, low, high, colour=1 if trained else 2, dashed=not trained)
