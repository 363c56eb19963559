"""Recurrence over time: one layer, one direction, every step, on interchangeable backends."""

from elman.kernels.backends import BACKENDS, check_backend, choose, report
from elman.kernels.recomputation import recompute
from elman.kernels.seam import CELLS, GATES, Call, Cell, CellState, Kernel, Trajectory, Weights

__all__ = [
    "BACKENDS",
    "CELLS",
    "GATES",
    "Call",
    "Cell",
    "CellState",
    "Kernel",
    "Trajectory",
    "Weights",
    "check_backend",
    "choose",
    "recompute",
    "report",
]
