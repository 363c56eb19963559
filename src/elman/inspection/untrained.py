"""The model as it was before its training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from elman.models.initial import initial_model
from elman.train.config import Settings

M = TypeVar("M", bound=nn.Module)

KEYS = ("trained", "untrained")  # of the two models in numbers, whatever people are told of the seed
UNKNOWN = 1  # the seed where a run does not tell its own


def untrained(build: Callable[[], M], settings: Settings | None) -> tuple[str, M]:
    """The model that a run began with, bit by bit, and what it is called; torch's random numbers stay as they were.

    A model folder alone (no settings) does not say its seed: then it is one of another seed, and called so.
    """
    with torch.random.fork_rng(devices=[]):
        model = initial_model(build, UNKNOWN if settings is None else settings.train.seed).eval()
    return ("untrained, another seed" if settings is None else "untrained"), model
