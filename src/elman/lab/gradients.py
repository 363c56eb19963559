"""What Elman's network leaves of an old input: a power of the recurrent matrix, and gradients that vanish with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.lab.drawing import curves
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lens import fit_decay
from elman.lens.decay import WITHIN, WORDS
from elman.nn import Elman

TOLERANCE = 1e-3
SIZES = (0.5, 0.9, 1.0, 1.1, 1.5)  # largest singular values
FALLING = set(WITHIN.values())  # the words for a gradient that comes to nothing

Norms = npt.NDArray[np.float64]


def unrolled(size: float, H: int, T: int, scale: float) -> tuple[Tensor, list[Tensor]]:
    """A recurrent matrix W, orthogonal times `size`, and the states h_t = tanh(x_t + W h_{t−1}), (1, 1, H) each.

    The first of the T + 1 states is zeros, and the inputs are normal with standard deviation `scale`.
    """
    W = size * torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0]
    inputs = scale * torch.randn(T, 1, H, dtype=torch.float64)
    layer = Elman(H, H, bias=False, dtype=W.dtype)
    layer.load_state_dict({"weight_ih_l0": torch.eye(H), "weight_hh_l0": W})
    states = [torch.zeros(1, 1, H, dtype=W.dtype, requires_grad=True)]
    for x in inputs:
        states.append(layer(x[None], states[-1])[1])
    return W, states


def _powers(setting: Setting) -> Findings:
    torch.manual_seed(setting.seed)
    H, lags = (16, 24) if setting.quick else (64, 100)
    (small, powers), (large, others) = _weights(H, lags, 1e-3), _weights(H, lags, 1.0)
    k = np.arange(1, lags + 1)
    norms = {"‖Wᵏ‖": powers, "measured, small inputs": small, "measured, inputs of size 1": large}
    differences = {"small inputs": np.abs(small - powers) / powers, "inputs of size 1": np.abs(large - others) / others}
    error, left = float(differences["small inputs"].max()), float(large[-1] / others[-1])
    reading = (
        "While tanh is nearly linear the weight is the power of W; where units saturate it falls below that power."
    )
    axes = {"x": "k, steps", "y": "‖∂h(T)/∂h(T−k)‖", "log_y": True}
    figure = curves(k, norms, reading, title="What is left of an input k steps later", **axes)
    reading = f"The law holds where a line stays below {TOLERANCE:g}."
    axes["y"] = "difference, as a share of ‖Wᵏ‖"
    apart = curves(k, differences, reading, title="How far the weight is from the power", **axes)
    words = [
        f"small inputs: the measured weight differs from ‖Wᵏ‖ by a share of at most {error:.1e}, up to k = {lags}",
        f"the law is that of the linear network: with inputs of size 1, tanh leaves {left:.1e} of ‖Wᵏ‖ at k = {lags}",
    ]
    numbers = {"error": error, "saturated_share": left, "powers": powers, "measured": small}
    return Findings(error <= TOLERANCE, left < 0.9, words, [figure, apart], numbers)


def _weights(H: int, lags: int, scale: float) -> tuple[Norms, Norms]:
    """Frobenius norms of ∂h_T/∂h_{T−k} by automatic differentiation, and of Wᵏ: (K,) each."""
    W, states = unrolled(0.9, H, lags, scale)
    total = torch.zeros(lags, dtype=torch.float64)
    for unit in range(H):
        gradients = torch.autograd.grad(states[-1][0, 0, unit], states[:-1], retain_graph=True)
        total += torch.stack([g.square().sum() for g in gradients]).flip(0)
    powers = torch.stack([torch.linalg.matrix_power(W, k).norm() for k in range(1, lags + 1)])
    return total.sqrt().numpy(), powers.numpy()


def _vanishing(setting: Setting) -> Findings:
    H, T = (32, 128) if setting.quick else (128, 200)
    norms = {}
    for rho in SIZES:
        torch.manual_seed(setting.seed)
        _, states = unrolled(rho, H, T, 0.1)
        loss = states[-1].flatten() @ torch.nn.functional.normalize(torch.randn(H, dtype=torch.float64), dim=0)
        gradients = torch.autograd.grad(loss, states[1:])
        norms[rho] = torch.stack([g.norm() for g in gradients]).flip(0).numpy()
    return _findings(norms)


def _findings(norms: dict[float, Norms]) -> Findings:
    """What follows from the norms at lags 0, 1, … for every largest singular value; the first norm is 1."""
    lags = {rho: np.arange(len(values)) for rho, values in norms.items()}
    decays = {rho: fit_decay(lags[rho], values) for rho, values in norms.items()}
    bounded = all(np.all(norms[rho] <= rho ** lags[rho] * (1 + 1e-9)) for rho in norms if rho <= 1)
    falls = all(decays[rho].verdict in FALLING for rho in norms if rho < 1)
    grew = any(values[-1] > 1 for rho, values in norms.items() if rho > 1)
    figure = curves(
        np.arange(1, max(map(len, norms.values()))),
        {f"largest singular value {rho:g}": values[1:] for rho, values in norms.items()},
        f"A straight line falls or grows by the same factor at every step. {WORDS}",
        title="The gradient against the lag",
        x="lag k, steps back",
        y="‖∂L(T)/∂h(T−k)‖, 1 at lag 0",
        log_y=True,
    )
    words = [f"largest singular value {rho:g}: {decay.words}" for rho, decay in decays.items()]
    above = {rho: decay for rho, decay in decays.items() if rho > 1}
    calm = [
        f"{decay.word} at {rho:g}" for rho, decay in above.items() if decay.verdict not in ("exploding", "undefined")
    ]
    if calm:
        words.append(f"the converse does not hold: above 1 a gradient need not explode ({', '.join(calm)})")
    numbers: dict[str, Any] = {str(rho): values for rho, values in norms.items()}
    numbers["decays"] = {str(rho): decay.numbers for rho, decay in decays.items()}
    return Findings(bounded and falls, grew, words, [figure], numbers)


POWERS = Experiment(
    "powers",
    "The weight of the state k steps before in the state now is the k-th power of the recurrent matrix.",
    f"with inputs so small that tanh is linear, autograd's Jacobians are Wᵏ within {TOLERANCE:g}",
    "with inputs of size 1, where tanh is not linear, they are less than 0.9 of Wᵏ at the longest lag",
    "Elman 1990; Pascanu, Mikolov & Bengio 2013, section 2",
    _powers,
)
VANISHING = Experiment(
    "vanishing",
    "Where the recurrent matrix's largest singular value is below 1, the gradient vanishes at least geometrically.",
    "where that value is at most 1, no gradient at lag k is above its power k; below 1 the whole curve is fading, "
    "vanishing or vanishing fast",
    "the measurement sees more than decay: above 1 a gradient has grown at the last lag",
    "Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013",
    _vanishing,
)
