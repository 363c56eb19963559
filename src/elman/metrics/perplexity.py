"""Perplexity: among how many equally probable tokens a model is undecided, exp(loss)."""

from __future__ import annotations

import math


def perplexity(loss: float) -> float:
    """exp(loss) of a loss in nats a token; infinite where that is beyond a float, which it is from 709.8 on.

    >>> perplexity(0.0), perplexity(1000.0)
    (1.0, inf)
    """
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
