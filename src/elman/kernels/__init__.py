"""Recurrence over time: one layer, one direction, every step, on interchangeable backends.

>>> import torch
>>> from elman import kernels
>>> from elman.nn import LSTM
>>> layer, x = LSTM(3, 5), torch.randn(7, 2, 3)
>>> weights = kernels.Weights(*(getattr(layer, f"{name}_l0") for name in kernels.Weights._fields[:4]))
>>> state = torch.zeros(2, 5), torch.zeros(2, 5)
>>> readable = kernels.BACKENDS["reference"].kernel("lstm")(x, state, weights)
>>> torch.allclose(readable.h, layer(x)[0], atol=1e-6)  # whichever backend the layer chose
True
"""

from elman.cells import CellState, Weights
from elman.kernels.backends import BACKENDS, check_backend, choose, report
from elman.kernels.recomputation import recompute
from elman.kernels.seam import QUIET, Call, Kernel, Noise, Trajectory, variations

__all__ = [
    "BACKENDS",
    "QUIET",
    "Call",
    "CellState",
    "Kernel",
    "Noise",
    "Trajectory",
    "Weights",
    "check_backend",
    "choose",
    "recompute",
    "report",
    "variations",
]
