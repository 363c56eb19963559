"""What a recurrent layer draws for one call: recurrent dropout and zoneout."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from elman.kernels import QUIET, Noise


def recurrent_mask(like: Tensor, B: int, P: int, p: float) -> Tensor | None:
    """(B, P), one for all steps of a call: 0 with probability p, else 1/(1 − p); None if p = 0.

    Gal and Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural networks".
    """
    return like.new_empty(B, P).bernoulli_(1 - p).div_(1 - p) if p else None


def coins(like: Tensor, *shape: int, p: float) -> Tensor:
    """1 with probability p > 0, else 0.

    On a CPU every coin is 16 random bits, so that p is a multiple of 1/65536: a third of the time of `bernoulli_`,
    which with the small layers that zoneout regularizes took a third of a training step.
    """
    if like.device.type != "cpu" or torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return like.new_empty(shape).bernoulli_(p)
    size = math.prod(shape)
    bits = (
        torch.empty((size + 3) // 4, dtype=torch.int64, device=like.device)
        .random_(-(2**63), None)
        .view(torch.int16)[:size]
    )
    heads = max(1, round(p * 2**16))  # of the 2^16 numbers from -2^15 on
    return bits.le(heads - 2**15 - 1).to(like.dtype).view(shape)


def zoneout_share(like: Tensor, T: int, B: int, H: int, p: float, *, training: bool) -> Tensor | None:
    """(T, B, H): of the old value all with probability p, else nothing; its mean p unless `training`; None if p = 0.

    Krueger et al. 2017, "Zoneout: regularizing RNNs by randomly preserving hidden activations" (arXiv:1606.01305).
    """
    if not p:
        return None
    return coins(like, T, B, H, p=p) if training else like.new_full((1, 1, 1), p).expand(T, B, H)


def draw(
    like: Tensor,
    sizes: tuple[int, int, int, int],
    recurrent_dropout: float,
    zoneout: float,
    zoneout_cell: float,
    *,
    training: bool,
) -> Noise:
    """The noise of one layer in one direction, of `sizes` T, B, P and H, in the dtype of `like`."""
    if not (recurrent_dropout or zoneout or zoneout_cell):
        return QUIET
    T, B, P, H = sizes
    return Noise(
        recurrent_mask(like, B, P, recurrent_dropout if training else 0.0),
        zoneout_share(like, T, B, P, zoneout, training=training),
        zoneout_share(like, T, B, H, zoneout_cell, training=training),
    )
