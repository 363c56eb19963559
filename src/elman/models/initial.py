"""The model that a training begins with: decided by its seed alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from elman.environment import one_thread

M = TypeVar("M", bound=nn.Module)


def initial_model(build: Callable[[], M], seed: int) -> M:
    """What `build()` makes, on the CPU, where torch's random numbers there begin at `seed`; they go on from there.

    On one thread: an orthogonal matrix is a decomposition, whose last bits depend on how many there are.
    """
    torch.default_generator.manual_seed(seed)  # manual_seed alone seeds every other device as well
    with one_thread():
        return build()
