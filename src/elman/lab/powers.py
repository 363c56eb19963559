"""A state's weight on an old input is a power of the recurrent matrix."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from elman.lab.drawing import curves
from elman.lab.experiment import Experiment, Findings, Setting
from elman.nn import Elman

TOLERANCE = 1e-3


def _run(setting: Setting) -> Findings:
    torch.manual_seed(setting.seed)
    H, lags = (16, 24) if setting.quick else (64, 100)
    small, large = _weights(H, lags, 1e-3), _weights(H, lags, 1.0)
    powers = small[1]
    left = float(large[0][-1] / large[1][-1])
    k = np.arange(1, lags + 1)
    figure = curves(
        k,
        {"‖Wᵏ‖": powers, "measured, small inputs": small[0], "measured, inputs of size 1": large[0]},
        title="What is left of an input k steps later",
        x="k, steps",
        y="‖∂h(T)/∂h(T−k)‖",
        log_y=True,
        reading="While tanh is nearly linear the weight is the power of W; where units saturate it falls below it.",
    )
    differences = [np.abs(measured - weights) / weights for measured, weights in (small, large)]
    apart = curves(
        k,
        {"small inputs": differences[0], "inputs of size 1": differences[1]},
        title="How far it is from the power",
        x="k, steps",
        y="difference, as a share of ‖Wᵏ‖",
        log_y=True,
        reading=f"The law holds where a line stays below {TOLERANCE:g}.",
    )
    error = float(differences[0].max())
    words = [
        f"small inputs: measured and ‖Wᵏ‖ differ by at most {error:.1e} of it, up to k = {lags}",
        f"it is a law of the linear network: with inputs of size 1, tanh leaves {left:.1e} of ‖Wᵏ‖ at k = {lags}",
    ]
    numbers = {"error": error, "saturated_share": left, "powers": powers, "measured": small[0]}
    return Findings(error <= TOLERANCE, left < 0.9, words, [figure, apart], numbers)


def unrolled(W: Tensor, inputs: Tensor) -> list[Tensor]:
    """The states h_t = tanh(x_t + W h_{t−1}), (1, 1, H) each, from zeros on: W (H, H), inputs (T, 1, H)."""
    layer = Elman(len(W), len(W), bias=False, dtype=W.dtype)
    layer.load_state_dict({"weight_ih_l0": torch.eye(len(W)), "weight_hh_l0": W})
    states = [torch.zeros(1, 1, len(W), dtype=W.dtype, requires_grad=True)]
    for x in inputs:
        states.append(layer(x[None], states[-1])[1])
    return states


def _weights(H: int, lags: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Frobenius norms of ∂h_T/∂h_{T−k} by automatic differentiation, and of Wᵏ: (K,) each."""
    W = 0.9 * torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0]
    states = unrolled(W, scale * torch.randn(lags, 1, H, dtype=torch.float64))
    total = torch.zeros(lags, dtype=torch.float64)
    for unit in range(H):
        gradients = torch.autograd.grad(states[-1][0, 0, unit], states[:-1], retain_graph=True)
        total += torch.stack([g.square().sum() for g in gradients]).flip(0)
    powers = torch.stack([torch.linalg.matrix_power(W, k).norm() for k in range(1, lags + 1)])
    return total.sqrt().numpy(), powers.numpy()


EXPERIMENT = Experiment(
    "powers",
    "A state's weight on what it held k steps before is the k-th power of the recurrent matrix.",
    f"with inputs so small that tanh is linear, autograd's Jacobians are Wᵏ within {TOLERANCE:g}",
    "with inputs of size 1, where tanh is not linear, they are not: less than 0.9 of Wᵏ at the longest lag",
    "Elman 1990; Pascanu, Mikolov & Bengio 2013, section 2",
    _run,
)
