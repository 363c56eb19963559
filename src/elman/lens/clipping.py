"""How clipping changed the gradient: its norm before and after, how often it was clipped, and how far it was turned.

Clipping by norm keeps the direction (Pascanu, Mikolov & Bengio 2013); clipping every component by value turns it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.arrays import Floats


@dataclass(frozen=True)
class ClippingHistory:
    """The gradient's norm at every step of a training; NaN where it was not finite. All arrays are (S,).

    >>> import json
    >>> from pathlib import Path
    >>> lines = Path("runs/demo/metrics.jsonl").read_text().splitlines()
    >>> history = clipping_history(map(json.loads, lines))
    >>> len(history.steps), 0 <= history.fraction_clipped <= 1, history.skipped
    (40, True, 0)
    """

    steps: npt.NDArray[np.int64]
    before: Floats
    after: Floats
    clipped: npt.NDArray[np.bool_]
    skipped: int  # steps whose loss or gradient was not finite

    @property
    def fraction_clipped(self) -> float:
        """The fraction of all steps; 0 for no steps."""
        return float(self.clipped.mean()) if len(self.clipped) else 0.0


def clipping_history(records: Iterable[Mapping[str, Any]]) -> ClippingHistory:
    """The history in the records of a run's `metrics.jsonl`; the records of validations are left out.

    >>> history = clipping_history([{"step": 1, "gradient_norm": 4.0, "clipped_norm": 1.0, "clipped": True}])
    >>> history.before, history.fraction_clipped
    (array([4.]), 1.0)
    """
    taken = [record for record in records if "gradient_norm" in record]

    def column(name: str) -> Floats:
        return np.array([record.get(name) for record in taken], np.float64)  # NaN for None

    return ClippingHistory(
        np.array([record["step"] for record in taken], np.int64),
        column("gradient_norm"),
        column("clipped_norm"),
        np.array([bool(record.get("clipped")) for record in taken], np.bool_),
        sum(bool(record.get("skipped")) for record in taken),
    )


def cosine_after_clipping(gradient: npt.NDArray[np.floating], threshold: float) -> float:
    """The cosine between a gradient and the same gradient with every component clipped to [−threshold, threshold].

    >>> round(cosine_after_clipping(np.array([3.0, 4.0]), 3.0), 4)  # (3, 3) and (3, 4)
    0.9899
    """
    cut = np.clip(gradient, -threshold, threshold)
    sizes = np.linalg.norm(gradient) * np.linalg.norm(cut)
    return float(gradient @ cut / sizes) if sizes > 0 else 1.0
