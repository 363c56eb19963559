"""Intervals that hold what they promise, by the errors of a model on data that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from elman.models.likelihoods import anchor

LEAST_WINDOWS = 100  # of one step of the horizon: with fewer, all steps share their errors


def widened(quantiles: Tensor, widths: Tensor, middle: int) -> Tensor:
    """Quantiles (..., H, Q), each moved to `widths` (H, Q) times its distance from the one at the index `middle`."""
    centre = quantiles[..., middle : middle + 1]
    moved = centre + widths * (quantiles - centre)
    # Each moves by a factor of its own, and none passes another.
    below = moved[..., : middle + 1].flip(-1).cummin(-1).values.flip(-1)
    return torch.cat((below[..., :-1], moved[..., middle:].cummax(-1).values), dim=-1)


def conformal_widths(quantiles: Tensor, targets: Tensor, levels: Sequence[float]) -> Tensor:
    """The `widths` (H, Q) with which as many targets lie below each quantile as its level says.

    quantiles (N, H, Q) of N windows, targets (N, H), NaN where one is not known. The scores are the distances of the
    targets from the middle quantile, in units of the predicted distance of the quantile: the ⌈(n + 1) p⌉-th least of n
    is the width, as in split conformal prediction (Lei et al. 2018, "Distribution-free predictive inference for
    regression"; for quantiles Romano, Patterson and Candès 2019, arXiv:1905.03222). Windows of a series overlap and are
    not exchangeable, so the coverage is about right and not guaranteed.
    """
    centre = anchor(levels)
    widths = torch.ones(quantiles.shape[1:])
    for place, level in enumerate(levels):
        if place == centre:
            continue
        distance = quantiles[..., place] - quantiles[..., centre]
        scores = (targets - quantiles[..., centre]) / distance
        scores = scores.where(distance != 0, torch.nan)
        p = level if place > centre else 1 - level
        columns = [scores[:, step] for step in range(scores.shape[1])]
        known = [column[~column.isnan()] for column in columns]
        if min(map(len, known)) < LEAST_WINDOWS:
            known = [torch.cat(known)] * len(known)
        widths[:, place] = torch.tensor([_rank(found, p) for found in known])
    return widths


def _rank(scores: Tensor, p: float) -> float:
    """The ⌈(n + 1) p⌉-th least of n scores, at most the greatest; not below 0, and 1 where there are none."""
    n = len(scores)
    if not n:
        return 1.0
    return max(0.0, float(scores.kthvalue(min(n, math.ceil((n + 1) * p))).values))
