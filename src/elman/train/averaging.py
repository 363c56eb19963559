"""Averages of the weights over a training, which are validated and shipped in place of the last step's weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """A running average of a model's parameters.

    With `decay` in (0, 1) the average is exponential: `a <- d a + (1 - d) w`. After `n` updates, `d = min(decay,
    (1 + n) / (10 + n))`, so that the random start is soon forgotten. With `decay = 1` the average is the plain mean of
    all weights since the start (Polyak & Juditsky 1992), as NT-ASGD wants it.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = Average(model, decay=1)  # the plain mean
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = nn.init.constant_(model.weight, value)  # in place of a step of the optimiser
    ...     average.update()
    >>> with average.in_place():
    ...     print(model.weight.item())
    3.0
    >>> model.weight.item()
    6.0
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.parameters: list[Tensor] = list(model.parameters())
        self.average = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Include the present weights in the average."""
        n = self.updates
        weight = 1 / (n + 1) if self.decay == 1 else 1 - min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(self.average, self.parameters, weight)
        self.updates += 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Exchange the model's weights for the average while the block runs."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        """Exchange the numbers, not the tensors, which others know too."""
        for parameter, average in zip(self.parameters, self.average, strict=True):
            own = parameter.clone()
            parameter.copy_(average)
            average.copy_(own)

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Go on from the tensors of an earlier average, each named by its index, and the number of its updates."""
        for index, tensor in enumerate(self.average):
            tensor.copy_(tensors[str(index)])
        self.updates = updates


def stopped_improving(losses: Sequence[float], interval: int) -> bool:
    """Whether the last loss is worse than the best of those more than `interval` validations before it.

    NT-ASGD starts to average then: Merity, Keskar & Socher 2018, "Regularizing and optimizing LSTM language models",
    algorithm 1.

    >>> stopped_improving([3.0, 2.0, 1.9, 1.8], interval=2), stopped_improving([3.0, 2.0, 1.9, 1.8, 2.5], interval=2)
    (False, True)
    """
    earlier = losses[: max(0, len(losses) - 1 - interval)]
    return bool(earlier) and losses[-1] > min(earlier)
