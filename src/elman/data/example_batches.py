"""Labelled sequences in padded batches of nearly equal lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.data.epoch_batches import EpochBatches, Rows, shuffled
from elman.data.labelled_corpus import Examples
from elman.distributed import ALONE, Ranks

BLUR = 0.2  # sequences whose lengths differ by a smaller part may change places


class ExampleBatch(NamedTuple):
    """B sequences; beyond its length each is padded with zeros."""

    inputs: Tensor  # tokens (B, T) int64, or channels (B, T, D) float32 where NaN is missing
    lengths: Tensor  # (B,) int64, at least 1
    targets: Tensor | None  # (B,) int64 or float32, or (B, K) float32

    def to(self, device: torch.device) -> ExampleBatch:
        """The batch on a device."""
        return ExampleBatch(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]


class ExampleBatches(EpochBatches[ExampleBatch]):
    """Examples in batches of `batch_size`, of which the longest may be fewer; each comes once an epoch.

    Every epoch groups sequences of nearly equal lengths anew, and shuffles the batches.
    """

    def __init__(self, examples: Examples, batch_size: int, seed: int = 0):
        assert batch_size > 0
        super().__init__(seed)
        self.examples, self.batch_size = examples, batch_size
        self._lengths = examples.lengths

    def _cut(self, epoch: int, rng: np.random.Generator) -> list[Rows]:
        order = np.argsort(self._lengths * rng.uniform(1 - BLUR, 1 + BLUR, len(self._lengths)), kind="stable")
        return shuffled(_stretches(order, self.batch_size), rng)

    def _batch(self, rows: Rows) -> ExampleBatch:
        return example_batch(self.examples, rows)


def evaluation_batches(
    examples: Examples, batch_size: int, ranks: Ranks = ALONE
) -> Iterator[tuple[Rows, ExampleBatch]]:
    """Every example once on one rank, the shortest first: the rows (B,) of a batch, and the batch."""
    for rows in ranks.mine(_stretches(np.argsort(examples.lengths, kind="stable"), batch_size)):
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


def _stretches(order: Rows, size: int) -> list[Rows]:
    return [order[start : start + size] for start in range(0, len(order), size)]
