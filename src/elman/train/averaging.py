"""Averages of the weights over the training: what is validated and shipped in place of the last step's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """A running average of a model's parameters.

    Exponential with `decay` in (0, 1): `a <- d a + (1 - d) w`, where `d = min(decay, (1 + n) / (10 + n))` after
    `n` updates, so that the random start is soon forgotten. With `decay = 1`: the plain mean of all weights
    since the start (Polyak & Juditsky 1992), as NT-ASGD wants it.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.parameters: list[Tensor] = list(model.parameters())
        self.average = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Take the present weights in."""
        n = self.updates
        weight = 1 / (n + 1) if self.decay == 1 else 1 - min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(self.average, self.parameters, weight)
        self.updates += 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the model, for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for index, parameter in enumerate(self.parameters):
            parameter.data, self.average[index] = self.average[index], parameter.data

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint must hold, beside `updates`."""
        return {str(index): tensor for index, tensor in enumerate(self.average)}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor], updates: int) -> None:
        """The inverse of `tensors`."""
        for index, tensor in enumerate(self.average):
            tensor.copy_(tensors[str(index)])
        self.updates = updates
