"""The readable composition of torch's operators, which holds everywhere and can be differentiated without end."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Kept(NamedTuple):
    """The numbers that dropout keeps: those whose 16 random bits are at least `least`, times `scale`."""

    bits: Tensor  # int16, of as many numbers as the output, contiguous
    least: int
    scale: float  # 1 / the probability to be kept

    def mask(self, like: Tensor) -> Tensor:
        """0 or `scale`, in the shape and dtype of `like`."""
        return (self.bits >= self.least).to(like.dtype).view(like.shape).mul_(self.scale)


class Affine(NamedTuple):
    """The properties of a call that are not differentiated."""

    eps: float = 1e-5  # added to the variance
    gelu: bool = False
    kept: Kept | None = None


def affine(
    options: Affine,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    gain: Tensor | None = None,
    shift: Tensor | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    """y = residual + kept * gelu(norm(x) W^T + b), each part of it if there is one: x (..., K) -> y (..., N).

    weight (N, K), bias (N,); layer normalization where there is a gain (K,), with a shift (K,) or without; the
    residual is as y.
    """
    if gain is not None:
        x = F.layer_norm(x, gain.shape, gain, shift, options.eps)
    y = F.linear(x, weight, bias)
    if options.gelu:
        y = F.gelu(y)
    if options.kept is not None:
        y = y * options.kept.mask(y)
    return y if residual is None else residual + y


def in_number(options: Affine, *inputs: Tensor | None, number: torch.dtype, found: torch.dtype) -> Tensor:
    """The same in the dtype `number`, without autocast, rounded to the dtype `found`."""
    x, weight, *others = (None if part is None else part.to(number) for part in inputs)
    assert x is not None
    assert weight is not None
    with torch.autocast("cpu", enabled=False):
        return affine(options, x, weight, *others).to(found)
