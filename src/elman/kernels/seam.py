"""The seam between the maths and the machine: one signature for every cell on every backend.

A kernel runs ONE layer in ONE direction over all time, time-major. It owns the input projection too, because
ATen, oneDNN and cuDNN do not leave it to others; elsewhere it is one large matmul over all steps, done first.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, TypeAlias, get_args

import torch
from torch import Tensor

Cell: TypeAlias = Literal["elman_tanh", "elman_relu", "gru", "lstm"]
CELLS: tuple[Cell, ...] = get_args(Cell)
GATES: dict[Cell, int] = {"elman_tanh": 1, "elman_relu": 1, "gru": 3, "lstm": 4}

CellState: TypeAlias = tuple[Tensor, ...]
"""What a cell remembers: (h,) of Elman's network and the GRU, (h, c) of the LSTM; h (B, P), c (B, H)."""


class Weights(NamedTuple):
    """The weights of one layer in one direction, under torch's names; G is `GATES[cell]`.

    The size of h is P: that of the LSTM's projection where there is one, otherwise H.
    """

    weight_ih: Tensor  # (G * H, D)
    weight_hh: Tensor  # (G * H, P)
    bias_ih: Tensor | None = None  # (G * H,)
    bias_hh: Tensor | None = None  # (G * H,)
    weight_hr: Tensor | None = None  # (P, H)
    weight_peephole: Tensor | None = None  # (3 * H,), of the LSTM: what i and f read of c_{t-1}, and o of c_t
    gain_ih: Tensor | None = None  # (G * H,): with layer normalization of W_ih x_t
    gain_hh: Tensor | None = None  # (G * H,): and of W_hh h_{t-1}; both or neither
    gain_cell: Tensor | None = None  # (H,): and of c_t where the LSTM makes h_t of it
    bias_cell: Tensor | None = None  # (H,)


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

LAYER_NORM_EPSILON = 1e-5  # as in torch.nn.LayerNorm; added to the variance


class Trajectory(NamedTuple):
    """Every state that a kernel went through (zeros at padding), and the one it ended with."""

    h: Tensor  # (T, B, P)
    c: Tensor | None  # (T, B, H); None where the cell has none, or the backend keeps it to itself
    final: CellState


class Call(NamedTuple):
    """What a backend is asked to do, as far as it decides whether the backend can."""

    cell: Cell
    device: torch.device
    dtype: torch.dtype = torch.float32
    every_state: bool = False  # whether every c_t of the LSTM is wanted (every h_t always comes)
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
    own = any(part is not None for part in (weights.weight_hr, weights.weight_peephole, weights.gain_hh))
    if not own and noise.recurrent is None and noise.zoneout is None and noise.zoneout_cell is None:
        return ()  # at once, for a server's single step
    found = {
        "recurrent dropout": noise.recurrent,
        "zoneout": noise.zoneout,
        "zoneout of the cell": noise.zoneout_cell,
        "projection": weights.weight_hr,
        "peepholes": weights.weight_peephole,
        "layer normalization": weights.gain_hh,
    }
    return tuple(name for name, part in found.items() if part is not None)
