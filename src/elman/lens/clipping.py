"""What clipping did to the gradient: its norm before and after, how often, and how far it was turned.

Clipping by norm keeps the direction (Pascanu, Mikolov & Bengio 2013); clipping every component by value turns it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClippingHistory:
    """The gradient's norm at every step of a training; NaN where it was not finite. All arrays are (S,)."""

    steps: npt.NDArray[np.int64]
    before: Floats
    after: Floats
    clipped: npt.NDArray[np.bool_]
    skipped: int  # steps whose loss or gradient was not finite

    @property
    def fraction_clipped(self) -> float:
        """Of all steps; 0 where there were none."""
        return float(self.clipped.mean()) if len(self.clipped) else 0.0


def clipping_history(records: Iterable[Mapping[str, Any]]) -> ClippingHistory:
    """From the records of a run's `metrics.jsonl`; those of validations are passed over.

    >>> history = clipping_history([{"step": 1, "gradient_norm": 4.0, "clipped_norm": 1.0, "clipped": True}])
    >>> history.before, history.fraction_clipped
    (array([4.]), 1.0)
    """
    taken = [record for record in records if "gradient_norm" in record]

    def column(name: str) -> Floats:
        values = [record.get(name) for record in taken]
        return np.array([np.nan if value is None else value for value in values], np.float64)

    return ClippingHistory(
        np.array([record["step"] for record in taken], np.int64),
        column("gradient_norm"),
        column("clipped_norm"),
        np.array([bool(record.get("clipped")) for record in taken], np.bool_),
        sum(bool(record.get("skipped")) for record in taken),
    )


def cosine_after_clipping(gradient: npt.NDArray[np.floating], threshold: float) -> float:
    """Between a gradient and what clipping every component to [−threshold, threshold] leaves of it.

    >>> round(cosine_after_clipping(np.array([3.0, 4.0]), 3.0), 4)  # (3, 3) and (3, 4)
    0.9899
    """
    cut = np.clip(gradient, -threshold, threshold)
    sizes = np.linalg.norm(gradient) * np.linalg.norm(cut)
    return float(gradient @ cut / sizes) if sizes > 0 else 1.0
