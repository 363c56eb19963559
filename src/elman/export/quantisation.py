"""Weights as int8: a scale times integers from -127 to 127, which are as far apart on both sides of 0."""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from elman.arrays import Numbers

M = TypeVar("M", bound=nn.Module)
GREATEST = 127


def quantise(weight: Numbers, axis: int) -> tuple[Numbers, Numbers]:
    """The nearest integers (int8, of the shape of `weight`), and float32 scales by the largest weight along `axis`.

    >>> values, scales = quantise(np.array([[1.0, -2.0], [0.0, 0.5]], np.float32), axis=1)
    >>> values.tolist(), (scales * 127).tolist()
    ([[64, -127], [0, 127]], [2.0, 0.5])
    """
    largest = np.abs(weight).max(axis)
    scales = np.where(largest > 0, largest / GREATEST, 1).astype(np.float32)
    return np.rint(weight / np.expand_dims(scales, axis)).clip(-GREATEST, GREATEST).astype(np.int8), scales


@torch.no_grad()
def quantised(model: M) -> M:
    """A copy of a model whose matrices (K, D) have the values that int8 with a scale for each row can hold."""
    made = copy.deepcopy(model)
    for parameter in made.parameters():
        if parameter.dim() == 2:
            values, scales = quantise(parameter.float().cpu().numpy(), axis=1)
            parameter.copy_(torch.from_numpy(values * scales[:, None]))
    return made
