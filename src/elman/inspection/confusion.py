"""The confusion matrix of a model's labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from elman.arrays import Floats
from elman.report import Figure, heatmap

Counts = npt.NDArray[np.int64]

MOST_CLASSES = 40  # that are drawn


def confusion_map(names: Sequence[str], matrix: Counts, title: str = "Confusion matrix") -> Figure:
    """How often (K, K) each of K classes, a row, was said to be which, a column: as shares of the row."""
    often = np.sort(np.argsort(-matrix.sum(1), kind="stable")[:MOST_CLASSES])
    shares: Floats = matrix[np.ix_(often, often)] / np.maximum(matrix.sum(1)[often, None], 1)
    shown = [names[at] for at in often]
    left_out = (
        f" Of {len(names)} classes, the {MOST_CLASSES} most frequent are drawn." if len(often) < len(names) else ""
    )
    return heatmap(
        shares,
        title=title,
        reading="A row is a true class, a column what the model says: the stronger the colour, the larger the share of "
        f"the row; all on the diagonal would be right.{left_out}",
        x="said",
        y="true",
        rows=shown,
        columns=shown,
        limit=1.0,
    )


def most_confused(names: Sequence[str], matrix: Counts) -> str | None:
    """In words, the two classes that are confused most often; None where no class ever is."""
    wrong = matrix - np.diag(matrix.diagonal())
    if not wrong.any():
        return None
    row, column = divmod(int(wrong.argmax()), len(names))
    share = f"{wrong[row, column]:,} of {matrix[row].sum():,}"
    return f"most often confused: {names[row]}, which is said to be {names[column]} in {share}"
