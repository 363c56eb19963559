"""Fair comparisons: models trained on the same data with the same budget, and what the numbers allow one to say.

`compare` trains by a `Plan`; the intervals are functions of losses that anybody has:

>>> from elman.compare import difference_over_seeds
>>> gain = difference_over_seeds([1.50, 1.52, 1.49], [1.46, 1.45, 1.47])  # losses of two models, three seeds each
>>> f"{gain.middle:.3f}, between {gain.low:.3f} and {gain.high:.3f}", gain.holds_zero
('0.043, between 0.010 and 0.077', False)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.lazy import lazily

if TYPE_CHECKING:
    from elman.compare.comparison import compare
    from elman.compare.conclusion import summary
    from elman.compare.intervals import (
        Blocks,
        Interval,
        difference_over_blocks,
        difference_over_seeds,
        over_blocks,
        over_seeds,
    )
    from elman.compare.plan import Plan
    from elman.compare.store import Store

__all__ = [
    "Blocks",
    "Interval",
    "Plan",
    "Store",
    "compare",
    "difference_over_blocks",
    "difference_over_seeds",
    "over_blocks",
    "over_seeds",
    "summary",
]
OF_INTERVALS = ("Blocks", "Interval", "difference_over_blocks", "difference_over_seeds", "over_blocks", "over_seeds")
__getattr__ = lazily(
    __name__,
    {
        **dict.fromkeys(OF_INTERVALS, ".intervals"),
        "Plan": ".plan",
        "Store": ".store",
        "compare": ".comparison",
        "summary": ".conclusion",
    },
)
