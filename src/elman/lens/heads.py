"""Which heads stand out: a score of every head against what chance gives, by a test over rows.

Of many heads one always has the highest score. It is named only where its score is well above chance, whichever rows
had been drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LUCK = 0.01  # the probability that any head at all has the lower bound above its true score
LEAST = 0.1  # the share of the way from chance to 1 that a head which stands out has gone at least


@dataclass(frozen=True)
class HeadScores:
    """A score from 0 to 1 of every head, in rows that share no text, and what chance gives."""

    rows: Floats  # (B, L, N): rows, layers, heads
    chance: float

    @property
    def mean(self) -> Floats:
        """Over rows: (L, N)."""
        return self.rows.mean(0)

    @property
    def low(self) -> Floats:
        """Lower bounds of the true means, (L, N), that all hold together but for a probability of about `LUCK`.

            mean − t s/√B        t: Student's, one-sided, at LUCK/(L N) (Bonferroni)

        The probability is right where scores are normally distributed over the rows, and only near it where they are
        not. One row bounds nothing: −∞.
        """
        B = len(self.rows)
        if B < 2:
            return np.full(self.rows.shape[1:], -np.inf)
        heads = self.rows[0].size
        return self.mean - student(LUCK / heads, B - 1) * self.rows.std(0, ddof=1) / B**0.5

    @property
    def stands_out(self) -> npt.NDArray[np.bool_]:
        """Which heads' scores are well above chance, (L, N): low > chance + LEAST (1 − chance)."""
        return self.low > self.chance + LEAST * (1 - self.chance)


def student(tail: float, freedom: int) -> float:
    """Student's t that a value is above with a probability of `tail`, by Cornish and Fisher's expansion.

    The relative error is below 2 % from 8 degrees of freedom on (Abramowitz & Stegun 26.7.5).

    >>> round(student(0.001, 15), 2)  # 3.733 in tables
    3.73
    """
    z = NormalDist().inv_cdf(1 - tail)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
