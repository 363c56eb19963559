"""What a recurrent layer draws for one call: recurrent dropout and zoneout."""

from __future__ import annotations

from torch import Tensor

from elman.kernels import QUIET, Noise


def recurrent_mask(like: Tensor, B: int, P: int, p: float) -> Tensor | None:
    """(B, P), one for all steps of a call: 0 with probability p, else 1/(1 − p); None if p = 0.

    Gal and Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural networks".
    """
    return like.new_empty(B, P).bernoulli_(1 - p).div_(1 - p) if p else None


def zoneout_share(like: Tensor, T: int, B: int, H: int, p: float, *, training: bool) -> Tensor | None:
    """(T, B, H): of the old value all with probability p, else nothing; its mean p unless `training`; None if p = 0.

    Krueger et al. 2017, "Zoneout: regularizing RNNs by randomly preserving hidden activations" (arXiv:1606.01305).
    """
    if not p:
        return None
    return like.new_empty(T, B, H).bernoulli_(p) if training else like.new_full((1, 1, 1), p).expand(T, B, H)


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
