"""Elman's network (1990, *Finding structure in time*), a drop-in for `torch.nn.RNN`.

h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)        or relu
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from elman.cells.cell import Cell, CellState, Hold, Option, Weights, as_computed

if TYPE_CHECKING:
    from torch import Tensor


def step(
    x: Tensor,
    r: Tensor | None,
    state: CellState,
    weights: Weights,
    *,
    nonlinearity: str,
    hold: Hold = as_computed,
) -> tuple[CellState, dict[str, Tensor]]:
    """One step; see `CellStep`."""
    assert r is not None
    sums = x + r
    return (hold("h", sums.tanh() if nonlinearity == "tanh" else sums.relu()),), {}


ELMAN = Cell(
    name="elman",
    layer="Elman",
    doc=__doc__ or "",
    rows=("h",),
    step=partial(step, nonlinearity="tanh"),
    output_scale=2 / 3,
    options=(Option("nonlinearity", "tanh", '"tanh" or "relu".', after="num_layers"),),
    chosen_by="nonlinearity",
    torch_layer="RNN",
    aten="rnn_tanh",
    native=0,
)
RELU = replace(ELMAN, name="elman_relu", step=partial(step, nonlinearity="relu"), aten="rnn_relu", native=1)
ELMAN = replace(ELMAN, variants={"relu": RELU})
