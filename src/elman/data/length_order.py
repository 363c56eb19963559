"""Pairs in the order of the lengths of both sides, so that a batch of neighbours has little padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from elman.data.batches import PairPart

Integers = npt.NDArray[np.int64]

BLUR = 0.35  # of a batch: so far do pairs move in the order of their lengths, each epoch anew


def sizes_of(part: PairPart) -> Integers:
    """The steps (N,) of every pair's larger side: its tokens and `<eod>`."""
    return np.maximum(part.source_lengths, part.target_lengths) + 1


def by_lengths(part: PairPart) -> Integers:
    """An order (N,) of the pairs: by the larger side, then by how much longer the target is.

    Like larger sides and like differences are like lengths of both sides, so that a batch has little padding on either.
    The difference rises and falls in turn, so that a batch across two sizes has like differences too.
    """
    larger, difference = sizes_of(part), part.target_lengths - part.source_lengths
    return np.lexsort((np.where(larger % 2, difference, -difference), larger))


def nearly_by_lengths(part: PairPart, tokens_per_batch: int, rng: np.random.Generator) -> Integers:
    """The same, but that pairs with equal larger sides move by up to `BLUR` of a batch.

    Noise in the first key would cost much padding, because a token is a tenth of a sentence.
    """
    order, larger = by_lengths(part), sizes_of(part)
    place = np.empty(len(part))
    place[order] = np.arange(len(part))
    return np.lexsort((place + rng.uniform(-BLUR, BLUR, len(part)) * tokens_per_batch / larger, larger))
