"""Gradients vanish where the recurrent matrix contracts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from elman.lab.drawing import curves
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.powers import unrolled
from elman.lens import fit_decay
from elman.lens.decay import WITHIN, WORDS

SIZES = (0.5, 0.9, 1.0, 1.1, 1.5)
FALLING = set(WITHIN.values())  # the words for a gradient that comes to nothing


def _run(setting: Setting) -> Findings:
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


EXPERIMENT = Experiment(
    "vanishing",
    "Where the recurrent matrix's largest singular value is below 1, the gradient vanishes at least geometrically.",
    "where that value is at most 1, no gradient at lag k is above its power k; below 1 the whole curve is fading, "
    "vanishing or vanishing fast",
    "the measurement sees more than decay: above 1 a gradient has grown at the last lag",
    "Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013",
    _run,
)
