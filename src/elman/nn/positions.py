"""The positions of steps in their sequences, and two encodings of positions for attention, which knows no order.

Sinusoidal positions are added to the embeddings once; rotary positions turn queries and keys, so that their dot product
depends on the distance between them alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LONGEST_WAVE = 10_000.0  # both papers' base of the geometric progression of wavelengths


def step_positions(position: Tensor, steps: int, resets: Tensor | None = None) -> Tensor:
    """How many steps each row has read since its last reset, before each of the next `steps`.

    position (B,): steps read before the first; resets (B, T) boolean: a fresh memory before that step.
    Returns (B, T), int64.

    >>> step_positions(torch.tensor([5]), 4, torch.tensor([[False, False, True, False]]))
    tensor([[5, 6, 0, 1]])
    """
    step = torch.arange(steps, device=position.device)
    start = -position[:, None]  # the step at which the row's memory began
    if resets is not None and steps > 0:
        start = torch.where(resets, step, start).cummax(dim=1).values
    return step - start  # (B, T)


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


def rotary(positions: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines with which `rotate` turns queries and keys of an even head size.

    positions (B, T) -> two (B, 1, T, size), the 1 standing for every head. Compute them once and share them
    between the layers.
    """
    angles = _angles(positions, size).unsqueeze(1)  # (B, 1, T, size/2)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (x_i, x_{i+size/2}) by its position's angle.

        y_i          = x_i cos a_i − x_{i+size/2} sin a_i
        y_{i+size/2} = x_{i+size/2} cos a_i + x_i sin a_i

    x (B, N, T, size). The dot product of two turned vectors depends on their distance alone. Su et al. 2021,
    "RoFormer: enhanced Transformer with rotary position embedding".
    """
    cos, signed_sin = rotation
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), signed_sin)
