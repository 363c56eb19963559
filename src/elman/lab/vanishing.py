"""Gradients vanish where the recurrent matrix contracts."""

from __future__ import annotations

import numpy as np
import torch

from elman.lab.experiment import Experiment, Findings, Setting
from elman.nn import Elman
from elman.report import Line, line_chart

SIZES = (0.5, 0.9, 1.0, 1.1, 1.5)


def _run(setting: Setting) -> Findings:
    H, T = (32, 60) if setting.quick else (128, 200)
    k = np.arange(1, T)
    norms = {}
    for rho in SIZES:
        torch.manual_seed(setting.seed)
        norms[rho] = _norms(rho, H, T)
    bound = all(np.all(norms[rho][1:] <= rho**k * (1 + 1e-9)) for rho in SIZES if rho <= 1)
    exploded = [rho for rho in SIZES if rho > 1 and norms[rho][-1] > 1]
    not_exploded = [rho for rho in SIZES if rho > 1 and norms[rho][-1] <= 1]
    figure = line_chart(
        [Line(f"largest singular value {rho:g}", k, norms[rho][1:], colour=1 + i) for i, rho in enumerate(SIZES)],
        title="The gradient against the lag",
        x="lag k, steps back",
        y="‖∂L(T)/∂h(T−k)‖, 1 at lag 0",
        log_y=True,
        reading="Straight lines are geometric: below 1 nothing from far back can be learnt.",
    )
    words = [f"largest singular value {rho:g}: {norms[rho][-1]:.2g} of it is left at lag {T - 1}" for rho in SIZES]
    if not_exploded:
        sizes = ", ".join(f"{rho:g}" for rho in not_exploded)
        words.append(f"the converse does not hold: above 1 it need not explode, tanh saturates (vanished at {sizes})")
    if exploded:
        words.append("it grew at " + ", ".join(f"{rho:g}" for rho in exploded))
    return Findings(bool(bound), words, [figure], {str(rho): values for rho, values in norms.items()})


def _norms(rho: float, H: int, T: int) -> np.ndarray:
    layer = Elman(H, H, bias=False, dtype=torch.float64)
    layer.get_parameter("weight_hh_l0").data.copy_(rho * torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0])
    layer.get_parameter("weight_ih_l0").data.copy_(torch.eye(H))
    state = torch.zeros(1, 1, H, dtype=torch.float64, requires_grad=True)
    states = [state]
    for _ in range(T):
        states.append(layer(0.1 * torch.randn(1, 1, H, dtype=torch.float64), states[-1])[1])
    loss = states[-1].flatten() @ torch.nn.functional.normalize(torch.randn(H, dtype=torch.float64), dim=0)
    gradients = torch.autograd.grad(loss, states[1:])
    return torch.stack([g.norm() for g in gradients]).flip(0).numpy()


EXPERIMENT = Experiment(
    "vanishing",
    "Where the recurrent matrix's largest singular value is below 1, the gradient vanishes at least geometrically.",
    "no gradient at lag k is above the largest singular value to the power k, where that value is at most 1",
    "Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013",
    _run,
)
