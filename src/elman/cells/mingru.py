"""The minimal gated recurrent unit (Feng et al. 2024, *Were RNNs all we needed?*, arXiv:2410.01201).

    z_t = sigmoid(W_iz x_t + b_iz)
    n_t = W_in x_t + b_in
    h_t = n_t + z_t * (h_{t-1} - n_t)

z_t and n_t depend on the input alone: there is no W_hh, and a parallel scan can read all steps at once. This is the
paper's linear form, whose fresh state is zeros. As in torch.nn's GRU, z_t multiplies h_{t-1}: it is the paper's 1 - z.
The rows of the weights are those of z, n.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.cells.cell import Cell, CellState, Hold, Weights, as_computed

if TYPE_CHECKING:
    from torch import Tensor


def coefficients(x: Tensor, hold: Hold = as_computed) -> tuple[Tensor, Tensor]:
    """z and (1 - z) n, of which h_t = z h_{t-1} + (1 - z) n."""
    z, n = x.chunk(2, -1)
    z = hold("z", z.sigmoid())
    return z, n - z * n


def step(
    x: Tensor, r: Tensor | None, state: CellState, weights: Weights, *, hold: Hold = as_computed
) -> tuple[CellState, dict[str, Tensor]]:
    """One step; see `CellStep`."""
    z, written = coefficients(x, hold)
    return (hold("h", z * state[0] + written),), {"z": z}


MINGRU = Cell(
    name="mingru",
    layer="MinGRU",
    doc=__doc__ or "",
    rows=("z", "n"),
    step=step,
    recurrent=False,
    gates={"z": "update gate"},
    keeping="z",
    output_scale=2 / 3,
    coefficients=coefficients,
)
