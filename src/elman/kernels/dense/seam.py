"""The two operators, and the choice between the compiled core and torch."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from elman.kernels.dense.reference import Kept


def normed_linear(
    x: Tensor, norm: nn.LayerNorm | None, linear: nn.Linear, activation: Literal["gelu"] | None = None
) -> Tensor:
    """y = act(norm(x) W^T + b): x (..., K) -> y (..., N), with the parameters of the modules.

    `norm=None`: x itself. The activation is the exact GELU, u Phi(u), or none. Under autocast y has its dtype, and the
    numbers that the product reads are rounded to it; all else is computed in float32.
    """
    y = linear(x if norm is None else norm(x))
    return F.gelu(y) if activation == "gelu" else y


def added_linear(x: Tensor, a: Tensor, linear: nn.Linear, kept: Kept | None = None) -> Tensor:
    """y = x + kept * (a W^T + b): x (..., N), a (..., K) -> y (..., N), with the parameters of the module.

    `kept` is what dropout keeps (`elman.nn.dropout.Dropout.draw`); None: everything.
    """
    y = linear(a)
    return x + (y if kept is None else y * kept.mask(y))
