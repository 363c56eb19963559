"""Long short-term memory (Hochreiter & Schmidhuber 1997), a drop-in for `torch.nn.LSTM`.

    i_t = sigmoid(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)
    f_t = sigmoid(W_if x_t + b_if + W_hf h_{t-1} + b_hf)     (Gers et al. 2000)
    g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)
    o_t = sigmoid(W_io x_t + b_io + W_ho h_{t-1} + b_ho)
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = W_hr (o_t * tanh(c_t))                             (W_hr: if proj_size > 0, Sak et al. 2014)

The rows of the weights are those of i, f, g, o. With `layer_norm`, h_t = o_t * tanh(LN(c_t) * gain_cell + bias_cell).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from elman.cells.cell import Cell, CellState, Hold, Option, StateTensor, Weights, as_computed, normalize

if TYPE_CHECKING:
    from torch import Tensor


def step(
    x: Tensor, r: Tensor | None, state: CellState, weights: Weights, *, hold: Hold = as_computed
) -> tuple[CellState, dict[str, Tensor]]:
    """One step; see `CellStep`."""
    assert r is not None
    _, c = state
    i, f, g, o = (x + r).chunk(4, -1)
    if weights.weight_peephole is not None:
        p_i, p_f, p_o = weights.weight_peephole.chunk(3)
        i, f = i + p_i * c, f + p_f * c
    i, f = hold("i", i.sigmoid()), hold("f", f.sigmoid())
    c = hold("c", f * c + i * g.tanh())
    if weights.weight_peephole is not None:
        o = o + p_o * c
    o = hold("o", o.sigmoid())
    seen = c if weights.gain_cell is None else normalize(c, weights.gain_cell, weights.bias_cell)
    h = o * seen.tanh()
    if weights.weight_hr is not None:
        h = h @ weights.weight_hr.t()  # (B, P)
    return (hold("h", h), c), {"i": i, "f": f, "o": o}


def own_weights(options: Mapping[str, Any], H: int, P: int) -> dict[str, tuple[int, ...]]:
    """The weights of the projection, the peepholes, and the layer normalization of c."""
    found: dict[str, tuple[int, ...]] = {}
    if options["proj_size"]:
        found["weight_hr"] = (P, H)
    if options["peepholes"]:
        found["weight_peephole"] = (3 * H,)
    if options["layer_norm"]:
        found |= {"gain_cell": (H,)} | ({"bias_cell": (H,)} if options["bias"] else {})
    return found


LSTM = Cell(
    name="lstm",
    layer="LSTM",
    doc=__doc__ or "",
    rows=("i", "f", "g", "o"),
    step=step,
    states=(StateTensor("h", "P"), StateTensor("c")),
    gates={"i": "input gate", "f": "forget gate", "o": "output gate"},
    keeping="f",
    output_scale=1 / 3,
    biases={"f": 1.0},  # the gate begins open (Jozefowicz et al. 2015)
    writing="i",
    options=(
        Option("proj_size", 0, "P, the size of the projected h; 0 for none.", after="bidirectional"),
        Option("zoneout_cell", 0.0, "zoneout of c_t, whose old share reaches h_{t+1} first.", in_models=True),
        Option(
            "peepholes",
            False,
            "i_t and f_t also read p_i * c_{t-1} and p_f * c_{t-1}, o_t reads p_o * c_t, with `weight_peephole` of\n"
            "size 3 * H (Gers & Schmidhuber 2000).",
            in_models=True,
        ),
    ),
    own_weights=own_weights,
    torch_layer="LSTM",
    aten="lstm",
    native=3,
)
