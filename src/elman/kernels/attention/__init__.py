"""Attention between the maths and the machine: a seam, a readable reference, torch's fused kernel, and the choice."""
