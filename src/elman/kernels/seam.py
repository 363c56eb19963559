"""The seam between the maths and the machine: one signature for every cell on every backend.

A kernel runs ONE layer in ONE direction over all time, time-major. The kernel computes the input projection too,
because ATen, oneDNN and cuDNN offer no call without it; elsewhere the projection is one large matmul over all steps.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from elman.cells import CellState, Weights


class Noise(NamedTuple):
    """The random numbers of one call.

    The layer draws them; a kernel draws none, and has no derivatives with respect to them.

    >>> keeps = torch.tensor([0.0, 1.0, 0.0])[:, None, None]  # the second step leaves the state as it was
    >>> Noise(zoneout=keeps).of_steps(1, 3).zoneout.flatten()
    tensor([1., 0.])
    """

    recurrent: Tensor | None = None  # (B, P): multiplies h_{t-1} where W_hh reads it
    zoneout: Tensor | None = None  # (T, B, P): the share of h_{t-1} that h_t keeps
    zoneout_cell: Tensor | None = None  # (T, B, H), of the LSTM: the share of c_{t-1} that c_t keeps

    def of_steps(self, start: int, stop: int) -> Noise:
        """The noise of the steps [start, stop)."""
        return Noise(self.recurrent, *(None if share is None else share[start:stop] for share in self[1:]))


QUIET = Noise()
"""No noise.

>>> from elman.kernels import QUIET
>>> QUIET.recurrent is QUIET.zoneout is None
True
"""


class Trajectory(NamedTuple):
    """Every state that a kernel went through (zeros at padding), and the final state.

    >>> from elman.kernels import BACKENDS
    >>> kernel = BACKENDS["reference"].kernel("lstm")
    >>> weights = Weights(torch.ones(8, 1), torch.ones(8, 2))
    >>> h, others, final = kernel(torch.ones(5, 3, 1), (torch.zeros(3, 2), torch.zeros(3, 2)), weights)
    >>> h.shape, others[0].shape, torch.equal(h[-1], final[0])
    (torch.Size([5, 3, 2]), torch.Size([5, 3, 2]), True)
    """

    h: Tensor  # (T, B, P)
    others: tuple[Tensor, ...] | None  # (T, B, ·): the cell's other states; None where a backend keeps them to itself
    final: CellState


class Call(NamedTuple):
    """The properties of a call that decide which backends can serve it.

    >>> from elman.kernels import BACKENDS
    >>> BACKENDS["native"].why_not(Call("lstm", torch.device("meta")))
    'it runs on a CPU alone'
    """

    cell: str
    device: torch.device
    dtype: torch.dtype = torch.float32
    every_state: bool = False  # whether every state is wanted; every h_t always comes
    variations: tuple[str, ...] = ()  # as `variations` names them
    size: tuple[int, int, int] | None = None  # T, B and H; None: unknown
    whole: bool = False  # whether there are neither lengths nor resets


class Kernel(Protocol):
    """The function that every backend offers for every cell.

    >>> from elman.kernels import BACKENDS
    >>> kernel, weights = BACKENDS["reference"].kernel("elman"), Weights(torch.ones(1, 1), torch.zeros(1, 1))
    >>> x, lengths = torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1), torch.tensor([2])
    >>> kernel(x, (torch.zeros(1, 1),), weights, lengths=lengths).h.flatten()  # tanh x, and zero at the padding
    tensor([0.7616, 0.9640, 0.0000])
    """

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
        """Read x (T, B, D) from `state`; with T = 0 the final state is a copy of `state`.

        - `reverse`: from each row's last real step to its first; h[t] still belongs to x[t].
        - `lengths` (B,), integer: the steps t >= length of a row are padding. They leave the state alone,
          have zeros for outputs, and may hold anything, even NaN: no value and no gradient shows what they hold.
        - `resets` (T, B), boolean: a new sequence begins at step t. Reading forward, the row's state is
          cleared before step t (at t = 0 the initial state too); in reverse, between the steps t and t - 1.
          Resets in the padding count for nothing.
        - `noise`: what was drawn for recurrent dropout and zoneout; the noise of the padding counts for nothing.
        """
        ...


def variations(weights: Weights, noise: Noise) -> tuple[str, ...]:
    """The names of the differences from the plain cell.

    >>> variations(Weights(torch.ones(4, 1), torch.ones(4, 1), weight_peephole=torch.ones(3)), QUIET)
    ('peepholes',)
    """
    recurrent, zoneout, zoneout_cell = noise
    hr, peephole, gain = weights.weight_hr, weights.weight_peephole, weights.gain_ih
    if hr is peephole is gain is recurrent is zoneout is zoneout_cell is None:
        return ()  # at once, for a server's single step
    parts = (recurrent, zoneout, zoneout_cell, hr, peephole, gain)
    return tuple(name for name, part in zip(VARIATIONS, parts, strict=True) if part is not None)


VARIATIONS = (
    *("recurrent dropout", "zoneout", "zoneout of the cell", "projection", "peepholes"),
    "layer normalization",
)


def masks(lengths: Tensor | None, resets: Tensor | None, T: int, reverse: bool) -> tuple[Tensor | None, Tensor | None]:
    """The real steps (see `real_steps`) and the cleared steps (see `clears`), (T, B) each; None: all, and none."""
    real = None if lengths is None else real_steps(lengths, T)
    return real, None if resets is None else clears(resets, real, reverse)


def real_steps(lengths: Tensor, T: int) -> Tensor:
    """The steps that are not padding, (T, B) boolean.

    >>> real_steps(torch.tensor([2, 0, 3]), 3).int()
    tensor([[1, 0, 1],
            [1, 0, 1],
            [0, 0, 1]], dtype=torch.int32)
    """
    return torch.arange(T, device=lengths.device)[:, None] < lengths


def clears(resets: Tensor, real: Tensor | None, reverse: bool) -> Tensor:
    """The steps before whose reading, in the direction of reading, a row is cleared: (T, B) boolean.

    The border that `resets[t]` draws lies between the steps t - 1 and t. A reader that comes from the right meets the
    border before step t - 1; no such reader meets the border at the left edge (t = 0), so a final state stays.

    >>> clears(torch.tensor([[True], [False], [True]]), None, reverse=True).flatten()
    tensor([False,  True, False])
    """
    if real is not None:
        resets = resets & real
    return torch.cat([resets[1:], torch.zeros_like(resets[:1])]) if reverse else resets


def blank_padding(x: Tensor, real: Tensor) -> Tensor:
    """Zeros in place of the padding of x (T, B, D); no gradient flows there, not even NaN."""
    return torch.where(real[..., None], x, torch.zeros((), dtype=x.dtype, device=x.device))


def why_not_transformed() -> str | None:
    """The reason why a backend with derivatives of its own cannot serve a call inside a transform of torch, or None."""
    if torch._C._are_functorch_transforms_active():
        return "torch.func cannot transform its derivatives"
    if torch.autograd.forward_ad._current_level >= 0:
        return "it has no forward-mode derivatives"
    return None
