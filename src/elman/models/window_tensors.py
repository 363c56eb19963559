"""The tensors of windows of series, as forecasters read them: steps, segments, and what is missing."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class WindowTensors(Protocol):
    """B windows, as `elman.data.windows.WindowBatch` has them."""

    @property
    def past(self) -> Tensor:
        """(B, L), NaN where a value is missing, and from `lengths` on."""

    @property
    def future(self) -> Tensor:
        """(B, H), NaN where a value is missing."""

    @property
    def lengths(self) -> Tensor:
        """(B,), 1 at least."""

    @property
    def past_exogenous(self) -> Tensor:
        """(B, L, P + K): what is known of the past alone, then what is known of the steps to come too."""

    @property
    def future_exogenous(self) -> Tensor:
        """(B, H, K)."""

    @property
    def static(self) -> Tensor:
        """(B, S)."""

    @property
    def mean(self) -> Tensor:
        """(B,): a value of the data is mean + deviation * value."""

    @property
    def deviation(self) -> Tensor:
        """(B,); 0 stands for 1."""

    @property
    def identity(self) -> Tensor:
        """(B,) int64: the series' place among those of the training, from 1; 0 for any other."""


def in_segments(values: Tensor, lengths: Tensor, segment: int) -> tuple[Tensor, Tensor]:
    """Steps (B, L, C) as segments (B, n, segment · C), and how many segments each row has.

    The last segment of a row ends with its last step; where the steps do not fill the first one, it begins with zeros
    and, in the second channel, with "missing".
    """
    B, L, C = values.shape
    n = -(-L // segment)
    if n * segment == L and bool((lengths == L).all()):
        return values.reshape(B, n, segment * C), torch.full_like(lengths, n)
    filled = -lengths % segment  # steps before the first
    at = torch.arange(n * segment, device=values.device) - filled[:, None]  # (B, n · segment)
    there = (at >= 0) & (at < lengths[:, None])
    moved = values.take_along_dim(at.clamp(0, L - 1)[..., None], dim=1)
    empty = values.new_zeros(C).index_fill(0, torch.tensor([1], device=values.device), 1)
    moved = torch.where(there[..., None], moved, empty)
    return moved.view(B, n, segment * C), -(-lengths // segment)


def joined(past: Tensor, future: Tensor, lengths: Tensor) -> Tensor:
    """Steps (B, L + H, ·): each row's past (B, L, ·), as far as it is long, and its future (B, H, ·) behind it."""
    steps = torch.arange(future.shape[1], device=past.device)
    at = (lengths[:, None] + steps)[..., None].expand(future.shape)
    return F.pad(past, (0, 0, 0, future.shape[1])).scatter(1, at, future)


def value_and_missing(values: Tensor) -> Tensor:
    """Values (B, T), NaN where one is missing -> (B, T, 2): 0 in its place, and whether it is missing."""
    missing = values.isnan()
    return torch.stack((values.where(~missing, 0), missing.to(values)), dim=2)


def ragged_lengths(lengths: Tensor, values: Tensor) -> Tensor | None:
    """The lengths, or None where every row has all steps."""
    return None if bool((lengths == values.shape[1]).all()) else lengths
