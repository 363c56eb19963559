"""The gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), a drop-in for `torch.nn.GRU`.

    r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)
    z_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)
    n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))
    h_t = n_t + z_t * (h_{t-1} - n_t)

The reset gate acts after the matmul, as in cuDNN; the rows of the weights are those of r, z, n. With
`reset_after=False` the gate acts before the matmul, as in the paper: no weights of one kind give the other.

    n_t = tanh(W_in x_t + b_in + W_hn (r_t * h_{t-1}) + b_hn)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from elman.cells.cell import Cell, CellState, Hold, Option, Weights, as_computed

if TYPE_CHECKING:
    from torch import Tensor


def step(
    x: Tensor, r: Tensor | None, state: CellState, weights: Weights, *, hold: Hold = as_computed
) -> tuple[CellState, dict[str, Tensor]]:
    """One step; see `CellStep`."""
    assert r is not None
    (h,) = state
    r_x, z_x, n_x = x.chunk(3, -1)
    r_h, z_h, n_h = r.chunk(3, -1)
    reset = hold("r", (r_x + r_h).sigmoid())
    z = hold("z", (z_x + z_h).sigmoid())
    n = (n_x + reset * n_h).tanh()
    return (hold("h", n + z * (h - n)),), {"r": reset, "z": z}


def step_reset_before(
    x: Tensor, r: Tensor | None, state: CellState, weights: Weights, *, hold: Hold = as_computed
) -> tuple[CellState, dict[str, Tensor]]:
    """One step whose reset gate acts before the matmul; see `CellStep`."""
    from torch.nn.functional import linear

    assert r is not None
    assert weights.weight_hh is not None
    assert weights.gain_hh is None
    (h,) = state
    r_x, z_x, n_x = x.chunk(3, -1)
    r_h, z_h, _ = r.chunk(3, -1)
    reset = hold("r", (r_x + r_h).sigmoid())
    z = hold("z", (z_x + z_h).sigmoid())
    bias = None if weights.bias_hh is None else weights.bias_hh.chunk(3)[2]
    n = (n_x + linear(reset * h, weights.weight_hh.chunk(3)[2], bias)).tanh()
    return (hold("h", n + z * (h - n)),), {"r": reset, "z": z}


GRU = Cell(
    name="gru",
    layer="GRU",
    doc=__doc__ or "",
    rows=("r", "z", "n"),
    step=step,
    gates={"r": "reset gate", "z": "update gate"},
    keeping="z",
    output_scale=1 / 2,
    options=(
        Option(
            "reset_after",
            True,
            "whether r_t acts after the matmul, or before it: on the readable backend alone, without\n"
            "`recurrent_dropout` and `layer_norm`, which are defined for one product W_hh h_{t-1} of all gates.",
        ),
    ),
    chosen_by="reset_after",
    torch_layer="GRU",
    aten="gru",
    native=2,
)
RESET_BEFORE = replace(
    GRU,
    name="gru_reset_before",
    step=step_reset_before,
    lacks=("recurrent_dropout", "layer_norm"),
    torch_layer=None,
    aten=None,
    native=None,
)
GRU = replace(GRU, variants={False: RESET_BEFORE})
