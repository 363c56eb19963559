"""A score from sums over examples, so that it has a value for any sample of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from elman.arrays import Floats

LEAST = 1e-12  # of a sum of wholes: examples without a span may be all that are drawn


def ratio(sums: Floats) -> Floats:
    """The first by the second of two sums (R, 2); 0 where both are.

    >>> import numpy as np
    >>> ratio(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [0.75, 0.0]
    """
    return sums[:, 0] / sums[:, 1].clip(LEAST)


def score_of_all(terms: Floats, score: Callable[[Floats], Floats] = ratio) -> float:
    """The score of all examples, from what each adds (N, P) to the sums (R, P) that `score` makes values (R,) of.

    >>> import numpy as np
    >>> score_of_all(np.array([[2.0, 4.0], [1.0, 2.0]]))
    0.5
    """
    return float(score(terms.sum(0, keepdims=True))[0])
