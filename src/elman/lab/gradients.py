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
SIZES = (0.5, 0.9, 1.0, 1.1, 1.5)
FALLING = set(WITHIN.values())  # the words for a gradient that comes to nothing


def unrolled(W: Tensor, inputs: Tensor) -> list[Tensor]:
    """The states h_t = tanh(x_t + W h_{t−1}), (1, 1, H) each, from zeros on: W (H, H), inputs (T, 1, H)."""
    layer = Elman(len(W), len(W), bias=False, dtype=W.dtype)
    layer.load_state_dict({"weight_ih_l0": torch.eye(len(W)), "weight_hh_l0": W})
    states = [torch.zeros(1, 1, len(W), dtype=W.dtype, requires_grad=True)]
    for x in inputs:
        states.append(layer(x[None], states[-1])[1])
    return states


def _powers(setting: Setting) -> Findings:
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


def _vanishing(setting: Setting) -> Findings:
    H, T = (32, 128) if setting.quick else (128, 200)
    return _findings({rho: _norms(setting.seed, rho, H, T) for rho in SIZES})


def _findings(norms: dict[float, npt.NDArray[np.float64]]) -> Findings:
    """From the norms at lags 0, 1, … for every largest singular value; the first norm is 1."""
    lags = {rho: np.arange(len(values)) for rho, values in norms.items()}
    decays = {rho: fit_decay(lags[rho], values) for rho, values in norms.items()}
    bounded = all(np.all(norms[rho] <= rho ** lags[rho] * (1 + 1e-9)) for rho in norms if rho <= 1)
    falls = all(decays[rho].verdict in FALLING for rho in norms if rho < 1)
    grew = any(values[-1] > 1 for rho, values in norms.items() if rho > 1)
    figure = curves(
        np.arange(1, max(map(len, norms.values()))),
        {f"largest singular value {rho:g}": values[1:] for rho, values in norms.items()},
        title="The gradient against the lag",
        x="lag k, steps back",
        y="‖∂L(T)/∂h(T−k)‖, 1 at lag 0",
        log_y=True,
        reading=f"A straight line falls or grows by the same factor at every step. {WORDS}",
    )
    words = [f"largest singular value {rho:g}: {decay.words}" for rho, decay in decays.items()]
    above = {rho: decay for rho, decay in decays.items() if rho > 1}
    calm = [f"{one.word} at {rho:g}" for rho, one in above.items() if one.verdict not in ("exploding", "undefined")]
    if calm:
        words.append(f"the converse does not hold: above 1 it need not explode ({', '.join(calm)})")
    numbers: dict[str, Any] = {str(rho): values for rho, values in norms.items()}
    numbers["decays"] = {str(rho): decay.numbers for rho, decay in decays.items()}
    return Findings(bounded and falls, grew, words, [figure], numbers)


def _norms(seed: int, rho: float, H: int, T: int) -> npt.NDArray[np.float64]:
    torch.manual_seed(seed)
    W = rho * torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0]
    states = unrolled(W, 0.1 * torch.randn(T, 1, H, dtype=torch.float64))
    loss = states[-1].flatten() @ torch.nn.functional.normalize(torch.randn(H, dtype=torch.float64), dim=0)
    gradients = torch.autograd.grad(loss, states[1:])
    return torch.stack([g.norm() for g in gradients]).flip(0).numpy()


POWERS = Experiment(
    "powers",
    "A state's weight on what it held k steps before is the k-th power of the recurrent matrix.",
    f"with inputs so small that tanh is linear, autograd's Jacobians are Wᵏ within {TOLERANCE:g}",
    "with inputs of size 1, where tanh is not linear, they are not: less than 0.9 of Wᵏ at the longest lag",
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
