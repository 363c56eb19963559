"""Perplexity, exp(loss): the number of equally probable tokens with the same loss."""

from __future__ import annotations

import math


def perplexity(loss: float) -> float:
    """exp(loss) of a loss in nats a token; infinite from 709.8 on, where a float overflows.

    >>> perplexity(0.0), perplexity(1000.0)
    (1.0, inf)
    """
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
