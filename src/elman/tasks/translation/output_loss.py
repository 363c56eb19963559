"""The loss of an output layer with a large vocabulary, without all of its logits in RAM at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CHUNK = 1 << 20  # logits at a time: 4 MB, which stay in a processor's cache


def output_loss(output: nn.Linear, hidden: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy of the logits `output(hidden)` against targets, a scalar in float32 at least.

        loss = −1/N Σ_n Σ_v q_n(v) log softmax(W h_n + b)_v        q_n = (1 − e) [v = target_n] + e / V

    hidden (N, H), targets (N,) int64, e = `smoothing` (Szegedy et al. 2016, "Rethinking the Inception architecture").

    The gradient of softmax and cross entropy is known as soon as the logits are: softmax − q. So a few rows at a time
    go all the way, and N · V numbers are neither kept nor read again. Under autocast the products are in its dtype.
    The gradient has no gradient of its own.
    """
    return _OutputLoss.apply(hidden, output.weight, output.bias, targets, smoothing)


class _OutputLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float
    ) -> Tensor:
        N, V = len(hidden), len(weight)
        device = hidden.device.type
        exact = torch.promote_types(hidden.dtype, torch.float32)
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else exact
        W, h = weight.to(low), hidden.to(low)
        learning = any(ctx.needs_input_grad)
        grad_hidden = torch.empty(hidden.shape, dtype=exact, device=hidden.device) if learning else None
        grad_weight = torch.zeros(weight.shape, dtype=exact, device=hidden.device) if learning else None
        grad_bias = torch.zeros(V, dtype=exact, device=hidden.device) if learning else None
        total = torch.zeros((), dtype=torch.double, device=hidden.device)
        with torch.autocast(device, enabled=False):
            for rows in torch.arange(N, device=hidden.device).split(max(1, CHUNK // V)):
                logits = torch.nn.functional.linear(h[rows], W).to(exact)  # (n, V)
                if bias is not None:
                    logits += bias
                wanted = targets[rows, None]
                normalizer = logits.logsumexp(1, keepdim=True)
                total += normalizer.sum() - (1 - smoothing) * logits.gather(1, wanted).sum()
                if smoothing:
                    total -= smoothing * logits.mean(1).sum()
                if grad_hidden is None or grad_weight is None or grad_bias is None:
                    continue
                gradient = logits.sub_(normalizer).exp_()
                if smoothing:
                    gradient -= smoothing / V
                gradient.scatter_add_(1, wanted, gradient.new_full(wanted.shape, smoothing - 1))
                grad_bias += gradient.sum(0)
                gradient = gradient.to(low)
                grad_hidden[rows] = (gradient @ W).to(exact)
                grad_weight += gradient.t() @ h[rows]
        if learning:
            ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
            ctx.dtypes = hidden.dtype, weight.dtype, None if bias is None else bias.dtype
            ctx.rows = N
        return (total / N).to(exact)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [
            None if dtype is None else (gradient * (grad / ctx.rows)).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return *scaled, None, None
