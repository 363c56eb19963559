"""Recurrence over time: one layer, one direction, every step, on interchangeable backends."""

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
