"""The gates of recurrent layers: which are open, which are shut, and how long a unit remembers.

A gate that is nearly always open or shut is saturated: a forget gate that is always open makes an integrator, and one
that is always shut a unit without memory (Karpathy, Johnson & Fei-Fei 2015, arXiv:1506.02078). Where nothing is
written, a cell decays as c_t = f_t c_{t−1}, by exp(−1/τ) a step, so that its time scale is τ = −1 / mean(ln f) (Tallec
& Ollivier 2018, arXiv:1804.11188); the GRU's update gate z, as torch writes it, keeps as f does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from elman.arrays import Floats
from elman.cells import CELLS, cell_named
from elman.errors import UserError
from elman.kernels.reference import project, recur
from elman.lens.visit import LayerVisit

SHUT, OPEN = 0.1, 0.9  # Karpathy's bounds


@dataclass(frozen=True)
class LayerGates:
    """The gates of a layer over a text; each array (H,) has one number a unit.

    >>> import torch
    >>> from elman.lens import visit_layers
    >>> from elman.nn import LSTM
    >>> layer = LSTM(3, 8)
    >>> gates = read_gates(visit_layers(layer, lambda: layer(torch.randn(10, 2, 3)))[0])
    >>> sorted(gates.mean), gates.open["f"].shape, 0 <= gates.saturated("f") <= 1
    (['f', 'i', 'o'], (8,), True)
    """

    layer: str
    cell: str
    shut: dict[str, Floats]  # the fraction of steps at which a gate is below 0.1
    open: dict[str, Floats]  # the fraction of steps at which a gate is above 0.9
    mean: dict[str, Floats]
    time_scale: Floats  # in steps

    def saturated(self, gate: str) -> float:
        """The fraction of all values of a gate that are below 0.1 or above 0.9."""
        return float((self.shut[gate] + self.open[gate]).mean())


def gates_of(visit: LayerVisit) -> dict[str, Tensor]:
    """The values of each gate of a layer at every step of a visit, (T, B, H), by the names of the cell's gates.

    Raises:
        UserError: a layer without gates.
    """
    cell, weights = cell_named(visit.cell), visit.weights
    if not cell.gates:
        have = " or ".join(other.layer for other in CELLS.values() if other.gates)
        raise UserError(f"{visit.name} has no gates", expected=have, got=cell.layer, remedy="look at its gradients")
    sums = project(visit.inputs, weights), recur(visit.before[0], weights)
    _, values = cell.step(*sums, visit.before, weights, hold=visit.hold)
    return {name: values[name] for name in cell.gates}


def gated(visits: Iterable[LayerVisit]) -> list[LayerVisit]:
    """The visits of layers that have gates."""
    return [visit for visit in visits if cell_named(visit.cell).gates]


@torch.no_grad()
def read_gates(visit: LayerVisit, gates: Mapping[str, Tensor] | None = None) -> LayerGates:
    """The statistics of a layer's gates over the steps of a visit. Raises `UserError` for a layer without gates.

    Where a gate is the share of the memory that stays (the sLSTM's f), no share of a fresh memory is one: the gate's
    statistics leave out the steps that read a fresh memory, unless there are no others. `gates` are the visit's
    `gates_of`, where they are known already.

    >>> from elman.lens import visit_layers
    >>> from elman.nn import GRU
    >>> layer = GRU(1, 2)
    >>> _ = layer.load_state_dict({name: torch.zeros_like(weights) for name, weights in layer.named_parameters()})
    >>> layer.bias_ih_l0.data[2:4] = 4.6  # of z
    >>> gates = read_gates(visit_layers(layer, lambda: layer(torch.ones(50, 1, 1)))[0])
    >>> gates.mean["z"].round(2), gates.time_scale.round()  # z = 0.99 keeps for about a hundred steps
    (array([0.99, 0.99]), array([100., 100.]))
    """
    values = {name: gate[visit.real] for name, gate in (gates or gates_of(visit)).items()}  # (K, H) each
    keeping = cast(str, cell_named(visit.cell).keeping)
    something = torch.stack([part[visit.real].any(-1) for part in visit.before]).any(0)  # (K,)
    told = something | values[keeping].any(-1)
    if told.any():
        values[keeping] = values[keeping][told]
    keep = values[keeping].double()
    time_scale = -1 / keep.clamp(min=torch.finfo(torch.float32).tiny, max=1 - 1e-7).log().mean(0)  # (H,)
    shut, opened, mean = (
        {name: found(gate).double().mean(0).cpu().numpy() for name, gate in values.items()}
        for found in (lambda gate: gate < SHUT, lambda gate: gate > OPEN, lambda gate: gate)
    )
    return LayerGates(visit.name, visit.cell, shut, opened, mean, time_scale.cpu().numpy())
