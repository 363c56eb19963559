"""A window of truncated BPTT that follows from the gradient itself (`k2: auto`).

How far back the gradient must flow depends on the data and on how much of them the model has learnt to remember, so no
fixed number is right. After each validation the gradient is computed as in training, k1 steps at a time, through k1,
2 k1, 4 k1 and 8 k1 steps, on a few rows of the next tokens; k2 becomes the smallest of these windows whose gradient
has the direction of the longest window's. No gradient flows across a document's border (Aicher, Foti & Fox 2019,
"Adaptively truncating backpropagation through time to control gradient bias").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import nn

from elman.data.lanes import Lanes
from elman.distributed import ALONE, Ranks
from elman.lens.truncation import truncation
from elman.models import LanguageModel
from elman.state import State, select_rows

LONGEST = 8  # times k1
ROWS = 8  # of the lanes, at most: they tell windows apart in a few hundredths of a training's time


@dataclass
class AdaptiveTruncation:
    """The window in use, and the place of the carried memory in the lanes (see `train.objective.Adaptive`)."""

    lanes: Lanes
    k1: int
    cosine: float = 0.99  # with the gradient through LONGEST * k1 steps, at least
    k2: int = field(init=False)
    epoch: int = field(default=0, init=False)  # of the carried memory
    kept: int = field(default=0, init=False)  # the step that the carried memory is to read next
    ranks: Ranks = field(default=ALONE, init=False)

    def __post_init__(self) -> None:
        self.k2 = self.k1

    def adapt(self, model: nn.Module, state: State | None) -> dict[str, float]:
        """Measure, and choose `k2` anew; lanes of less than 2 k1 steps leave it as it is."""
        steps = min(LONGEST * self.k1, self.lanes.steps)
        if steps >= 2 * self.k1:
            start = min(self.kept, self.lanes.steps - steps)
            first = np.arange(min(ROWS, self.lanes.lanes))  # every rank measures on these
            device = next(model.parameters()).device
            window = self.lanes.window(start, start + steps, self.epoch, first).to(device)
            if state is not None:
                mine = torch.arange(int(np.isin(self.lanes.mine, first).sum()), device=device)
                state = self.ranks.rows(select_rows(state, mine))
            found = truncation(
                cast(LanguageModel, model),
                window.inputs,
                window.targets,
                state,
                resets=window.resets,
                stride=self.k1,
                warm_up=False,
                windows=[self.k1 * times for times in (1, 2, 4, LONGEST)],
            )
            # Other processors round otherwise: rank 0 decides, so that all cut at the same places.
            self.k2 = int(self.ranks.told(found.smallest_window(self.cosine))[0])
        return {"k2": self.k2}

    def values(self) -> dict[str, int]:
        """The values that `restore` takes."""
        return {"k2": self.k2, "epoch": self.epoch, "kept": self.kept}

    def restore(self, values: dict[str, int]) -> None:
        """Go on from the values of a checkpoint."""
        self.k2, self.kept = values["k2"], values["kept"]
        self.epoch = values.get("epoch", 0)  # earlier builds cut every pass alike
