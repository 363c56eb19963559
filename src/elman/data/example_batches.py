"""Labelled sequences in padded batches of nearly equal lengths.

The batches of an epoch are a pure function of (seed, epoch, lengths): two numbers, the epoch and the batch, are enough
to resume a training in the middle of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.data.labelled_corpus import Examples

Rows = npt.NDArray[np.int64]

BLUR = 0.2  # sequences whose lengths differ by a smaller part may change places


class ExampleBatch(NamedTuple):
    """B sequences; beyond its length each is padded with zeros."""

    inputs: Tensor  # tokens (B, T) int64, or channels (B, T, D) float32 where NaN is missing
    lengths: Tensor  # (B,) int64, at least 1
    targets: Tensor | None  # (B,) int64 or float32, or (B, K) float32

    def to(self, device: torch.device) -> ExampleBatch:
        """The batch on a device."""
        return ExampleBatch(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]


class ExampleBatches:
    """Examples in batches of `batch_size`, of which the longest may be fewer; each comes once an epoch.

    Every epoch groups sequences of nearly equal lengths anew, and shuffles the batches.
    """

    def __init__(self, examples: Examples, batch_size: int, seed: int = 0):
        assert batch_size > 0
        self.examples, self.batch_size, self.seed = examples, batch_size, seed
        self._lengths = examples.lengths
        self._planned: int | None = None

    def count(self, epoch: int) -> int:
        """The number of batches of an epoch."""
        return -(-len(self.examples) // self.batch_size)

    def plan(self, epoch: int) -> list[Rows]:
        """The rows (B,) of each batch, in the order in which the batches come."""
        if self._planned != epoch:
            rng = np.random.default_rng([self.seed, epoch])
            order = np.argsort(self._lengths * rng.uniform(1 - BLUR, 1 + BLUR, len(self._lengths)), kind="stable")
            batches = _cut(order, self.batch_size)
            self._plan, self._planned = [batches[at] for at in rng.permutation(len(batches))], epoch
        return self._plan

    def batch(self, epoch: int, index: int) -> ExampleBatch:
        """The batch at an index of an epoch's plan."""
        return example_batch(self.examples, self.plan(epoch)[index])


def evaluation_batches(examples: Examples, batch_size: int) -> Iterator[tuple[Rows, ExampleBatch]]:
    """Every example once, the shortest first: the rows (B,) of a batch, and the batch."""
    for rows in _cut(np.argsort(examples.lengths, kind="stable"), batch_size):
        yield rows, example_batch(examples, rows)


def example_batch(examples: Examples, rows: Rows) -> ExampleBatch:
    """The batch of the examples at `rows` (B,)."""
    held = [examples.inputs[row] for row in rows]
    lengths = np.array([len(each) for each in held], np.int64)
    inputs = np.zeros((len(held), int(lengths.max()), *held[0].shape[1:]), held[0].dtype)
    for row, each in enumerate(held):
        inputs[row, : len(each)] = each
    targets = None if examples.targets is None else torch.from_numpy(examples.targets[rows])
    return ExampleBatch(torch.from_numpy(inputs), torch.from_numpy(lengths), targets)


def _cut(order: Rows, size: int) -> list[Rows]:
    return [order[start : start + size] for start in range(0, len(order), size)]
