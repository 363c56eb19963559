"""The loss of an output layer with a large vocabulary, without all of its logits in RAM at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from elman.kernels.loss import take_loss
from elman.kernels.native.products import matmul

CHUNK = 1 << 23  # logits at a time: enough rows for fast products, and 32 MB, or 16 in bfloat16


def output_loss(output: nn.Linear, hidden: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy of the logits `output(hidden)` against targets, a scalar in float32 at least.

        loss = −1/N Σ_n Σ_v q_n(v) log softmax(W h_n + b)_v        q_n = (1 − e) [v = target_n] + e / V

    hidden (..., H), targets (...) int64, of which the N that are not negative count, e = `smoothing` (Szegedy et al.
    2016, "Rethinking the Inception architecture").

    The gradient of softmax and cross entropy is known as soon as the logits are: softmax − q. So a few rows at a time
    go all the way, and N · V numbers are neither kept nor read again. Under autocast the products are in its dtype.
    The gradient has no gradient of its own.
    """
    rows = (targets.flatten() >= 0).nonzero().flatten()
    return _OutputLoss.apply(hidden.flatten(0, -2), output.weight, output.bias, targets.flatten(), rows, smoothing)


class _OutputLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        rows: Tensor,
        smoothing: float,
    ) -> Tensor:
        N, V = len(rows), len(weight)
        device = hidden.device.type
        exact = torch.promote_types(hidden.dtype, torch.float32)
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else exact
        W, h, wanted = weight.to(low), hidden[rows].to(low), targets[rows]
        learn = any(ctx.needs_input_grad)
        most = min(max(1, CHUNK // V), max(1, N))
        logits = h.new_empty(most, V)
        grad_hidden = torch.empty_like(h) if learn else None
        grad_weight = torch.empty(weight.shape, dtype=exact, device=hidden.device) if learn else None
        if grad_weight is not None and not N:
            grad_weight.zero_()
        grad_bias = torch.zeros(V, dtype=exact, device=hidden.device) if learn and bias is not None else None
        bias = None if bias is None else bias.to(exact)
        total = torch.zeros((), dtype=torch.double, device=hidden.device)
        multiply = matmul if hidden.is_cpu else torch.mm
        with torch.autocast(device, enabled=False):
            for start in range(0, N, most):
                part, x = h[start : start + most], logits[: N - start]
                multiply(part, W.t(), out=x)  # (n, V)
                total += take_loss(x, bias, wanted[start : start + most], smoothing, learn=learn, dbias=grad_bias).sum()
                if grad_hidden is None or grad_weight is None:
                    continue
                multiply(x, W, out=grad_hidden[start : start + most])
                if low == exact and hidden.is_cpu:
                    matmul(x.t(), part, out=grad_weight, add=start > 0)
                elif start:
                    grad_weight += (x.t() @ part).to(exact)  # torch adds numbers of two dtypes slowly
                else:
                    grad_weight.copy_(x.t() @ part)
        if learn:
            ctx.save_for_backward(grad_hidden, grad_weight, grad_bias, rows)
            ctx.dtypes = hidden.dtype, weight.dtype, None if bias is None else bias.dtype
            ctx.steps = len(hidden)
        return (total / N).to(exact)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight, grad_bias, rows = ctx.saved_tensors
        scale, (of_hidden, of_weight, of_bias) = grad / len(rows), ctx.dtypes
        by_hidden = (grad_hidden * scale).to(of_hidden)
        if len(rows) < ctx.steps:
            by_hidden = by_hidden.new_zeros(ctx.steps, by_hidden.shape[1]).index_copy_(0, rows, by_hidden)
        by_bias = None if grad_bias is None else (grad_bias * scale).to(of_bias)
        return by_hidden, (grad_weight * scale).to(of_weight), by_bias, None, None, None
