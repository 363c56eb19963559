"""What is drawn at random in training: coins, masks of dropout, and all that a recurrent layer needs for one call."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from elman.kernels import QUIET, Noise


def dropout_mask(like: Tensor, *shape: int, p: float) -> Tensor:
    """0 with probability p, else 1/(1 − p), as `like` in dtype and device: for masks that serve many numbers."""
    return like.new_empty(shape).bernoulli_(1 - p).div_(1 - p)


def in_16_bits(p: float) -> float:
    """The multiple of 1/65,536 next to p, or p itself where that is less than 1/256 from 0 or 1.

    So neither p nor 1 − p is changed by more than 0.2 %, and neither becomes 0.

    >>> in_16_bits(0.25), in_16_bits(0.1), in_16_bits(1 - 1e-7)
    (0.25, 0.100006103515625, 0.9999999)
    """
    return round(p * 2**16) / 2**16 if 2**-8 <= p <= 1 - 2**-8 else p


def coins(like: Tensor, *shape: int, p: float) -> Tensor:
    """1 with the probability `in_16_bits(p)`, else 0, as `like` in dtype and device.

    On a CPU every coin is 16 random bits, four from a draw of 64: a quarter of the time of `bernoulli_`, which with the
    small layers that zoneout regularizes took a third of a training step.
    """
    p = in_16_bits(p)
    heads = p * 2**16  # of the 2^16 numbers below 2^15
    compiled = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    if like.device.type != "cpu" or compiled or not heads.is_integer() or not 0 < heads < 2**16:
        return like.new_empty(shape).bernoulli_(p)
    size = math.prod(shape)
    bits = torch.empty((size + 3) // 4, dtype=torch.int64, device=like.device).random_(-(2**63), None)
    # In place: to make booleans, and numbers of these, would take as long as to draw the bits.
    return bits.view(torch.int16)[:size].ge_(2**15 - int(heads)).to(like.dtype).view(shape)


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
    """The noise of one layer in one direction, of `sizes` T, B, P and H, in the dtype of `like`.

    Recurrent dropout has one mask for all steps: Gal and Ghahramani 2016, "A theoretically grounded application of
    dropout in recurrent neural networks".
    """
    if not (recurrent_dropout or zoneout or zoneout_cell):
        return QUIET
    T, B, P, H = sizes
    return Noise(
        dropout_mask(like, B, P, p=recurrent_dropout) if training and recurrent_dropout else None,
        zoneout_share(like, T, B, P, zoneout, training=training),
        zoneout_share(like, T, B, H, zoneout_cell, training=training),
    )
