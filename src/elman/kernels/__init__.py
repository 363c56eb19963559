"""Recurrence over time: one layer, one direction, every step, on interchangeable backends."""

from elman.kernels.backends import BACKENDS, check_backend, choose, report
from elman.kernels.recomputation import recompute
from elman.kernels.seam import (
    CELLS,
    GATES,
    QUIET,
    Call,
    Cell,
    CellState,
    Kernel,
    Noise,
    Trajectory,
    Weights,
    variations,
)

__all__ = [
    "BACKENDS",
    "CELLS",
    "GATES",
    "QUIET",
    "Call",
    "Cell",
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
