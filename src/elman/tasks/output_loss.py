"""The loss of an output layer, without all of its logits in memory at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def output_loss(output: Callable[[Tensor], Tensor], hidden: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy of `output(hidden)` (N, V) against targets (N,), in float32 at least.

    With smoothing e, the target's distribution is (1 − e) on the true token and e / V on each.
    """
    logits = output(hidden)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)
