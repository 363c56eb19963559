"""The cross entropy of rows of logits, and its gradient in their place: readable, and by the compiled core."""

from __future__ import annotations

import torch
from torch import Tensor

from elman.kernels.native import loss as core


def take_loss(
    logits: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float, *, learn: bool, dbias: Tensor | None = None
) -> Tensor:
    """The losses (N,) of logits x (N, V) + bias (V,), contiguous, against targets (N,), each below V.

        loss_n = log Σ_v exp(x_nv + b_v) − Σ_v q_nv (x_nv + b_v)        q_nv = (1 − e) [v = target_n] + e / V

    With `learn`, the logits are overwritten with their gradient softmax(x + b) − q, whose columns are added to `dbias`
    (V,), where given. Bias and `dbias` are in float32 at least, as the computation is. Raises `IndexError` for a target
    that is no column.
    """
    if logits.is_cpu and len(targets):  # a check on a GPU would wait for it
        least, most = int(targets.min()), int(targets.max())
        if least < 0 or most >= logits.shape[1]:
            raise IndexError(f"targets from 0 to {logits.shape[1] - 1} expected, got {least} to {most}")
    take = core.take_loss if core.serves(logits) else reference
    return take(logits, bias, targets, smoothing, learn, dbias)


def reference(
    logits: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float, learn: bool, dbias: Tensor | None
) -> Tensor:
    """`take_loss` in plain torch."""
    x = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if bias is not None:
        x += bias
    wanted, normalizer = targets[:, None], x.logsumexp(1, keepdim=True)  # (N, 1)
    losses = normalizer - (1 - smoothing) * x.gather(1, wanted)
    if smoothing:
        losses -= smoothing * x.mean(1, keepdim=True)
    if learn:
        gradient = x.sub_(normalizer).exp_()
        if smoothing:
            gradient -= smoothing / x.shape[1]
        gradient.scatter_add_(1, wanted, gradient.new_full(wanted.shape, smoothing - 1))
        if dbias is not None:
            dbias += gradient.sum(0)
        if gradient is not logits:
            logits.copy_(gradient)
    return losses.squeeze(1)
