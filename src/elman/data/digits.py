"""The named source `digits`: scikit-learn's 1,797 pictures of digits, each a series of eight rows of eight pixels."""

from __future__ import annotations

import numpy as np

from elman.data.endless import mix
from elman.data.labelled import Labelled, Part
from elman.errors import missing_extra

FIFTH = 5  # of the pictures is for testing


def read_digits(part: Part) -> Labelled:
    """The pictures for training, or those for testing, which a hash of their places tells apart.

    Raises `UserError` where scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise missing_extra("scikit-learn", "estimators", "the digits") from None
    pictures, digits = load_digits(return_X_y=True)
    held_out = mix(np.arange(len(digits), dtype=np.uint64)) % np.uint64(FIFTH) == 0
    rows = np.flatnonzero(held_out if part == "test" else ~held_out)
    series = pictures.reshape(-1, 8, 8)[rows]  # (N, T, D)
    return Labelled("digits", list(series), digits[rows].tolist(), [f"digits, picture {row}" for row in rows])
