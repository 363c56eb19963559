"""Attention between the maths and the machine: a seam, a readable reference, torch's fused kernel, and the choice."""

from elman.kernels.attention.backends import BACKENDS, attend, choose, with_mask
from elman.kernels.attention.seam import Attended, AttentionCall, Memory, Rotation
from elman.kernels.attention.sight import Sight, ages, step_positions

__all__ = [
    "BACKENDS",
    "Attended",
    "AttentionCall",
    "Memory",
    "Rotation",
    "Sight",
    "ages",
    "attend",
    "choose",
    "step_positions",
    "with_mask",
]
