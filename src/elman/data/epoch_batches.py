"""The batches of an epoch, a pure function of the seed, the epoch and the data.

So two numbers, the epoch and the batch, are enough to resume a training in the middle of an epoch, and each of several
processes knows its rows of every batch without asking.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from elman.distributed import ALONE, Ranks

Rows = npt.NDArray[np.int64]
Batch = TypeVar("Batch")


class EpochBatches(ABC, Generic[Batch]):
    """Rows of some data in batches, in an order that each epoch draws anew; each row comes once an epoch."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.ranks: Ranks = ALONE  # of whose rows `batch` is made
        self._planned: int | None = None

    @abstractmethod
    def _cut(self, epoch: int, rng: np.random.Generator) -> Sequence[Rows]:
        """The rows (B,) of each batch, in the order in which the batches come."""

    @abstractmethod
    def _batch(self, rows: Rows) -> Batch:
        """The batch of rows (B,) of the epoch that was planned last."""

    def plan(self, epoch: int) -> Sequence[Rows]:
        """The rows (B,) of each batch, of all ranks together."""
        if self._planned != epoch:
            self._plan, self._planned = self._cut(epoch, np.random.default_rng([self.seed, epoch])), epoch
        return self._plan

    def count(self, epoch: int) -> int:
        """The number of batches of an epoch."""
        return len(self.plan(epoch))

    def batch(self, epoch: int, index: int) -> Batch:
        """This rank's part of the batch at an index of an epoch's plan."""
        return self._batch(self.ranks.share(self.plan(epoch)[index]))

    def counts(self, epoch: int, index: int) -> bool:
        """Whether this rank's part of a batch counts; see `Ranks.share`."""
        return self.ranks.counts(len(self.plan(epoch)[index]))


def shuffled(batches: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    """The batches in an order that is drawn."""
    return [batches[at] for at in rng.permutation(len(batches))]
