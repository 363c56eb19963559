"""A score from sums over examples, so that it has a value for any sample of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elman.arrays import Floats

LEAST = 1e-12  # of a sum of wholes: examples without a span may be all that are drawn


def ratio(sums: Floats) -> Floats:
    """The first by the second of two sums (R, 2); 0 where both are.

    >>> import numpy as np
    >>> ratio(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [0.75, 0.0]
    """
    return sums[:, 0] / sums[:, 1].clip(LEAST)
