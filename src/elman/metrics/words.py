"""Numbers in words."""

from __future__ import annotations

import math

LARGE = 1e6  # from here on in powers of ten


def words(value: float, digits: int = 4) -> str:
    """A loss or a perplexity, finite or not.

    >>> words(1.38629), words(1.234e45), words(float("inf")), words(float("nan"))
    ('1.3863', '1.2e+45', 'infinite', 'not a number')
    """
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    return f"{value:.{digits}f}" if abs(value) < LARGE else f"{value:.2g}"
