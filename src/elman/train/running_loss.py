"""The loss of a training as people watch it."""

from __future__ import annotations

import math


class RunningLoss:
    """The mean loss of the last few dozen steps: single losses jump about.

    The mean is that of all steps while they are few, so that the first, the worst of a training, weighs no more than
    another; from then on a step has the weight `LATEST`. NaN is no mean yet.
    """

    LATEST = 0.03

    def __init__(self) -> None:
        self.mean, self.steps = math.nan, 0

    def add(self, loss: float) -> float:
        """The mean after one more loss; one that is not finite changes nothing."""
        if math.isfinite(loss):
            self.steps += 1
            before = self.mean if self.steps > 1 else loss
            self.mean = before + max(self.LATEST, 1 / self.steps) * (loss - before)
        return self.mean
