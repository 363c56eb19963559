"""Matrices as int8: each row is a scale times integers from -127 to 127."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)
GREATEST = 127


def quantise_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The integers (K, D) int8 and the scales (K,) float32 of a matrix (K, D), to the nearest.

    >>> integers, scales = quantise_rows(torch.tensor([[0.5, -1.0], [0.0, 0.0]]))
    >>> integers.tolist(), [round(scale, 6) for scale in scales.tolist()]
    ([[64, -127], [0, 0]], [0.007874, 1.0])
    """
    matrix = matrix.detach().float()
    scales = matrix.abs().amax(1) / GREATEST
    scales = torch.where(scales > 0, scales, 1.0)
    return (matrix / scales[:, None]).round().clamp(-GREATEST, GREATEST).to(torch.int8), scales


@torch.no_grad()
def quantised(model: M) -> M:
    """A copy of a model whose matrices have the values that int8 can hold: what a quantised export computes."""
    made = copy.deepcopy(model)
    for parameter in made.parameters():
        if parameter.dim() == 2:
            integers, scales = quantise_rows(parameter)
            parameter.copy_(integers * scales[:, None])
    return made
