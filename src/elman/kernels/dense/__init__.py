"""The products of a Transformer's residual branch, each with what stands before and after it as one operator.

normed_linear    y = act(norm(x) W^T + b)        the first of a branch: projections of attention, feed-forward
added_linear     y = x + kept * (a W^T + b)      the last of a branch, with the sum and its dropout
"""

from elman.kernels.dense.reference import Kept
from elman.kernels.dense.seam import added_linear, normed_linear

__all__ = ["Kept", "added_linear", "normed_linear"]
