"""The seam between the maths and the machine: one signature for every cell on every backend.

A kernel runs ONE layer in ONE direction over all time, time-major. It owns the input projection too, because
ATen, oneDNN and cuDNN do not leave it to others; elsewhere it is one large matmul over all steps, done first.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from elman.cells import CellState, Weights


class Noise(NamedTuple):
    """What a layer draws for one call: a kernel draws nothing, and no derivative is taken by it."""

    recurrent: Tensor | None = None  # (B, P): multiplies h_{t-1} where W_hh reads it
    zoneout: Tensor | None = None  # (T, B, P): the share of h_{t-1} that h_t keeps
    zoneout_cell: Tensor | None = None  # (T, B, H), of the LSTM: that of c_{t-1} in c_t

    def of_steps(self, start: int, stop: int) -> Noise:
        """That of the steps [start, stop)."""
        shares = (None if share is None else share[start:stop] for share in self[1:])
        return Noise(self.recurrent, *shares)


QUIET = Noise()
"""None of it."""


class Trajectory(NamedTuple):
    """Every state that a kernel went through (zeros at padding), and the one it ended with."""

    h: Tensor  # (T, B, P)
    others: tuple[Tensor, ...] | None  # (T, B, ·): the cell's other states; None where a backend keeps them to itself
    final: CellState


class Call(NamedTuple):
    """What a backend is asked to do, as far as it decides whether the backend can."""

    cell: str
    device: torch.device
    dtype: torch.dtype = torch.float32
    every_state: bool = False  # whether every state is wanted (every h_t always comes)
    bare: bool = False  # many steps of a full batch without gradients, lengths or resets
    variations: tuple[str, ...] = ()  # what `variations` says of the weights and the noise


class Kernel(Protocol):
    """What every backend offers for every cell."""

    def __call__(
        self,
        x: Tensor,
        state: CellState,
        weights: Weights,
        *,
        reverse: bool = False,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        noise: Noise = QUIET,
    ) -> Trajectory:
        """Read x (T, B, D) from `state`; T = 0 is allowed and ends where it began.

        - `reverse`: from each row's last real step to its first; h[t] still belongs to x[t].
        - `lengths` (B,), integer: the steps t >= length of a row are padding. They leave the state as it was,
          have zeros for a result, and may hold anything, even NaN: no value and no gradient shows it.
        - `resets` (T, B), boolean: a new sequence begins at step t. Reading forward, the row's state is
          cleared before step t (at t = 0 the given one too); in reverse, between the steps t and t - 1.
          Resets in the padding count for nothing.
        - `noise`: what was drawn for recurrent dropout and zoneout; that of the padding counts for nothing.
        """
        ...


def variations(weights: Weights, noise: Noise) -> tuple[str, ...]:
    """The names of what differs from the plain cell.

    >>> variations(Weights(torch.ones(4, 1), torch.ones(4, 1), weight_peephole=torch.ones(3)), QUIET)
    ('peepholes',)
    """
    own = any(part is not None for part in (weights.weight_hr, weights.weight_peephole, weights.gain_ih))
    if not own and noise.recurrent is None and noise.zoneout is None and noise.zoneout_cell is None:
        return ()  # at once, for a server's single step
    found = {
        "recurrent dropout": noise.recurrent,
        "zoneout": noise.zoneout,
        "zoneout of the cell": noise.zoneout_cell,
        "projection": weights.weight_hr,
        "peepholes": weights.weight_peephole,
        "layer normalization": weights.gain_ih,
    }
    return tuple(name for name, part in found.items() if part is not None)
