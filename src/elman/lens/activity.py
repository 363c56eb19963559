"""What a memory does while a text is read: its states by name, the units that move most, the gates of one unit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from elman.arrays import Floats, Numbers
from elman.cells import cell_named
from elman.lens.gates import gates_of
from elman.lens.visit import LayerVisit


def states_of(visits: Iterable[LayerVisit]) -> dict[str, Floats]:
    """Every part of the memory after every step, (B, T, H) by names such as "layer 1 h".

    The parts that only scale or stabilise others, as the sLSTM's n and m, are left out.

    >>> import torch
    >>> from elman.lens import visit_layers
    >>> from elman.nn import LSTM
    >>> layer = LSTM(3, 8)
    >>> states = states_of(visit_layers(layer, lambda: layer(torch.randn(10, 2, 3))))
    >>> {name: values.shape for name, values in states.items()}
    {'layer 1 h': (2, 10, 8), 'layer 1 c': (2, 10, 8)}
    """
    return {
        f"{visit.name} {memory.name}": as_array(part.transpose(0, 1).contiguous())
        for visit in visits
        for memory, part in zip(cell_named(visit.cell).states, visit.after, strict=True)
        if memory.mixes
    }


def most_active(values: npt.NDArray[np.floating], most: int) -> Numbers:
    """At most so many units of `values` (T, H), in their order: those with the greatest standard deviation over T.

    Steps with NaN do not count.

    >>> most_active(np.array([[0.0, 5.0, 1.0], [1.0, 5.0, -1.0]]), 2)
    array([0, 2])
    """
    known = values[np.isfinite(values).all(1)]
    moves = known.std(0) if len(known) else np.zeros(values.shape[1])
    return np.sort(np.argsort(-moves, kind="stable")[:most])


def time_scales(values: npt.NDArray[np.floating]) -> Floats:
    """In how many steps the correlation of each unit of (B, T, H) with its own past falls to 1/e: (H,).

        τ = −1 / ln ρ        ρ: the correlation of a unit with its value one step before

    It is that of a unit whose correlations fall geometrically; 0 where ρ is not positive, as for a constant unit.

    >>> noise = np.random.default_rng(0).standard_normal(10_000)
    >>> memory = np.array([(np.exp(-np.arange(200) / 20) * noise[t - 200 : t][::-1]).sum() for t in range(200, 10_000)])
    >>> found = time_scales(np.stack([memory, noise[200:] * 0 + 1], axis=1)[None])
    >>> bool(15 < found[0] < 25), float(found[1])
    (True, 0.0)
    """
    centred = values - values.mean((0, 1))
    now, past = centred[:, 1:], centred[:, :-1]
    sizes = np.sqrt((now**2).sum((0, 1)) * (past**2).sum((0, 1)))
    correlation = np.divide((now * past).sum((0, 1)), sizes, out=np.zeros(values.shape[2]), where=sizes > 0)
    correlation = np.clip(correlation, 0, 1 - 1e-7)
    return np.asarray(-1 / np.log(correlation, out=np.full(len(correlation), -np.inf), where=correlation > 0))


def gates_of_unit(visit: LayerVisit, unit: int, row: int = 0) -> dict[str, Floats]:
    """Each gate (T,) of one unit of a visit's layer over one row, by the names of the cell's gates.

    >>> import torch
    >>> from elman.lens import visit_layers
    >>> from elman.nn import LSTM
    >>> layer = LSTM(3, 8)
    >>> [visit] = visit_layers(layer, lambda: layer(torch.randn(10, 2, 3)))
    >>> {name: gate.shape for name, gate in gates_of_unit(visit, unit=5).items()}
    {'i': (10,), 'f': (10,), 'o': (10,)}
    """
    return {name: as_array(gate[:, row, unit]) for name, gate in gates_of(visit).items()}


def as_array(values: Tensor) -> Floats:
    """float64 values on the CPU."""
    found: Floats = values.detach().double().cpu().numpy()
    return found
