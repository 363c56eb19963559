"""The positions of steps in their sequences, and two encodings of positions for attention, which knows no order.

Sinusoidal positions are added to the embeddings once; rotary positions turn queries and keys, so that their dot product
depends on the distance between them alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from elman.kernels.attention.seam import Rotation

_LONGEST_WAVE = 10_000.0  # both papers' base of the geometric progression of wavelengths


def _angles(positions: Tensor, size: int) -> Tensor:
    """position · 10000^(−2i/size) for i < size/2, in float64: a stream may run for millions of steps."""
    exponent = torch.arange(0, size, 2, dtype=torch.float64, device=positions.device) / size
    return positions.unsqueeze(-1) * _LONGEST_WAVE**-exponent  # (..., size/2)


def sinusoidal(positions: Tensor, size: int) -> Tensor:
    """The sinusoidal position encoding, float64.

        p[2i] = sin(position · 10000^(−2i/size)),  p[2i+1] = cos(position · 10000^(−2i/size))

    positions (...) integers -> (..., size); `size` is even. Vaswani et al. 2017, "Attention is all you need".

    >>> sinusoidal(torch.tensor([0, 1]), 2)
    tensor([[0.0000, 1.0000],
            [0.8415, 0.5403]], dtype=torch.float64)
    """
    angles = _angles(positions, size)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)


def rotary(positions: Tensor, size: int, dtype: torch.dtype) -> Rotation:
    """Cosines and sines that turn queries and keys of an even head size, as `kernels.attention.reference.rotate` does.

    positions (B, T) -> two (B, T, size/2). Compute them once and share them between the layers.
    """
    angles = _angles(positions, size)
    return angles.cos().to(dtype), angles.sin().to(dtype)
