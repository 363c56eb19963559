"""Normalisation of the window that a forecaster reads, by numbers of that window alone, and its inverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

LEAST_DEVIATION = 1e-3  # in units of the training part's deviation: a window that hardly moves is not blown up


class Scaling(NamedTuple):
    """The units that a window is read in: value = location + scale * normalised, both (B, 1)."""

    location: Tensor
    scale: Tensor

    def normalise(self, values: Tensor) -> Tensor:
        """Values (B, T) in these units."""
        return (values - self.location) / self.scale

    def restore(self, normalised: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return self.location + self.scale * normalised


def _last(values: Tensor, present: Tensor) -> Scaling:
    steps = torch.arange(values.shape[1], device=values.device)
    newest = torch.where(present, steps, 0).amax(1, keepdim=True)
    return Scaling(values.gather(1, newest), torch.ones_like(values[:, :1]))


def _mean(values: Tensor, present: Tensor) -> Scaling:
    count = present.sum(1, keepdim=True).clamp(min=1)
    mean = values.sum(1, keepdim=True) / count
    variance = torch.where(present, values - mean, 0).square().sum(1, keepdim=True) / count
    return Scaling(mean, variance.sqrt().clamp(min=LEAST_DEVIATION))


def _none(values: Tensor, present: Tensor) -> Scaling:
    return Scaling(torch.zeros_like(values[:, :1]), torch.ones_like(values[:, :1]))


NORMALISATIONS: dict[str, Callable[[Tensor, Tensor], Scaling]] = {"last": _last, "mean": _mean, "none": _none}


def window_scaling(kind: str, values: Tensor, present: Tensor) -> Scaling:
    """The scaling of windows `values` (B, L), of which the numbers that are `present` (B, L) count alone.

    - `last`: the newest value that is present is 0 (Zeng et al. 2023, "Are Transformers effective for time series
      forecasting?", arXiv:2205.13504);
    - `mean`: mean 0 and deviation 1 (Kim et al. 2022, "Reversible instance normalization");
    - `none`: as they are.

    A window without a value has the location 0 and the scale 1, or the least scale.

    >>> scaling = window_scaling("last", torch.tensor([[3.0, 5.0, torch.nan]]), torch.tensor([[True, True, False]]))
    >>> scaling.normalise(torch.tensor([[3.0, 5.0]])).tolist()
    [[-2.0, 0.0]]
    """
    return NORMALISATIONS[kind](torch.where(present, values, 0), present)
