"""The model as it was before its training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from elman.models.initialization import initial_model
from elman.train.settings import Optimization

M = TypeVar("M", bound=nn.Module)

KEYS = ("trained", "untrained")  # of the two models in numbers, whatever people are told of the seed
UNKNOWN = 1  # the seed where a run does not tell its own


def untrained(build: Callable[[], M], train: Optimization | None) -> tuple[str, M]:
    """The model that a run began with, bit by bit, and what it is called; torch's random numbers stay as they were.

    A model folder alone (None) does not say its seed: then it is one of another seed, and called so.
    """
    with torch.random.fork_rng(devices=[]):
        model = initial_model(build, UNKNOWN if train is None else train.seed).eval()
    return ("untrained, another seed" if train is None else "untrained"), model
