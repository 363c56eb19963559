"""The gates of the LSTM and the GRU: which are open, which are shut, and how long a unit remembers.

A gate that is nearly always open or shut is saturated: a forget gate that is always open makes an integrator, one
that is always shut a unit without memory (Karpathy, Johnson & Fei-Fei 2015, "Visualizing and understanding
recurrent networks", arXiv:1506.02078). Where nothing is written, a cell decays as c_t = f_t c_{t−1}, by
exp(−1/τ) a step, so its time scale is τ = −1 / mean(ln f) (Tallec & Ollivier 2018, "Can recurrent neural networks
warp time?", arXiv:1804.11188); the GRU's update gate z, as torch writes it, keeps as f does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.errors import UserError
from elman.kernels import Cell, Weights
from elman.kernels.reference import project, recur
from elman.kernels.seam import QUIET
from elman.lens.visit import LayerVisit

Floats = npt.NDArray[np.float64]

SHUT, OPEN = 0.1, 0.9  # Karpathy's bounds
KEEPING = {"lstm": "f", "gru": "z"}  # the gate that multiplies what was remembered
WORDS = {"i": "input gate", "f": "forget gate", "o": "output gate", "r": "reset gate", "z": "update gate"}


@dataclass(frozen=True)
class LayerGates:
    """The gates of a layer over a text; each array has one number a unit."""

    layer: str
    cell: Cell
    shut: dict[str, Floats]  # a gate: the fraction of steps below 0.1, (H,)
    open: dict[str, Floats]  # a gate: the fraction of steps above 0.9, (H,)
    mean: dict[str, Floats]  # a gate: (H,)
    time_scale: Floats  # (H,), in steps

    def saturated(self, gate: str) -> float:
        """The fraction of all values of a gate that are below 0.1 or above 0.9."""
        return float((self.shut[gate] + self.open[gate]).mean())


def lstm_gates(x: Tensor, before: Sequence[Tensor], weights: Weights) -> dict[str, Tensor]:
    """i, f, o = sigmoid(W_i x_t + b_i + W_h h_{t−1} + b_h): x (T, B, D), h before each step (T, B, P) -> (T, B, H).

    With peepholes i and f also read c_{t−1}, and o reads c_t; with layer normalization both sums are normalized.
    """
    h, c = before
    i, f, g, o = (project(x, weights) + recur(h, weights, QUIET)).chunk(4, -1)
    if weights.weight_peephole is not None:
        p_i, p_f, p_o = weights.weight_peephole.chunk(3)
        i, f = i + p_i * c, f + p_f * c
        o = o + p_o * (f.sigmoid() * c + i.sigmoid() * g.tanh())
    return {"i": i.sigmoid(), "f": f.sigmoid(), "o": o.sigmoid()}


def gru_gates(x: Tensor, before: Sequence[Tensor], weights: Weights) -> dict[str, Tensor]:
    """r, z = sigmoid(W_i x_t + b_i + W_h h_{t−1} + b_h): x (T, B, D), h before each step (T, B, H) -> (T, B, H)."""
    r, z, _ = (project(x, weights) + recur(before[0], weights, QUIET)).sigmoid().chunk(3, -1)
    return {"r": r, "z": z}


GATES: dict[Cell, Callable[[Tensor, Sequence[Tensor], Weights], dict[str, Tensor]]] = {
    "lstm": lstm_gates,
    "gru": gru_gates,
}


@torch.no_grad()
def read_gates(visit: LayerVisit) -> LayerGates:
    """The statistics of a layer's gates over what it was visited with.

    Raises:
        UserError: a layer without gates.
    """
    if visit.cell not in GATES:
        raise UserError(
            f"{visit.name} has no gates", expected="an LSTM or a GRU", got=visit.cell, remedy="look at its gradients"
        )
    gates = GATES[visit.cell](visit.inputs, visit.before, visit.weights)  # (T, B, H) each
    values = {name: gate[visit.real] for name, gate in gates.items()}  # (K, H) each
    keep = values[KEEPING[visit.cell]].double()
    tiny = torch.finfo(torch.float32).tiny
    time_scale = -1 / keep.clamp(min=tiny, max=1 - 1e-7).log().mean(0)  # (H,)
    return LayerGates(
        visit.name,
        visit.cell,
        {name: _mean(gate < SHUT) for name, gate in values.items()},
        {name: _mean(gate > OPEN) for name, gate in values.items()},
        {name: _mean(gate) for name, gate in values.items()},
        time_scale.cpu().numpy(),
    )


def _mean(gate: Tensor) -> Floats:
    return gate.double().mean(0).cpu().numpy()
