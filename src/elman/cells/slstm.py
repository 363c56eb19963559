"""The scalar LSTM of xLSTM (Beck et al. 2024, arXiv:2405.04517): an LSTM whose input gate is an exponential.

    i_t = exp(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)
    f_t = sigmoid(W_if x_t + b_if + W_hf h_{t-1} + b_hf)     or exp
    g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)
    o_t = sigmoid(W_io x_t + b_io + W_ho h_{t-1} + b_ho)
    c_t = f_t * c_{t-1} + i_t * g_t
    n_t = f_t * n_{t-1} + i_t
    h_t = o_t * c_t / n_t

No gate grows out of bounds, for c and n are kept divided by exp(m), with m_t = max(ln f_t + m_{t-1}, ln i_t). A state
of zeros is a fresh one: where n = 0 there is nothing to keep, and m_t = ln i_t. The rows of the weights are those of
i, f, g, o; W_hh is whole, of one head.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from elman.cells.cell import Cell, CellState, Hold, Option, StateTensor, Weights, as_computed

if TYPE_CHECKING:
    from torch import Tensor


def step(
    x: Tensor, r: Tensor | None, state: CellState, weights: Weights, *, forget: str, hold: Hold = as_computed
) -> tuple[CellState, dict[str, Tensor]]:
    """One step; see `CellStep`.

    The gate f is read, and held, as the share of the memory that stays, f_t n_{t-1} / n_t; of a held share n_t stays.
    """
    assert r is not None
    _, c, n, m = state
    i, f, g, o = (x + r).chunk(4, -1)  # ln i, and ln f or its logit
    if forget == "sigmoid":
        f = -(-f).logaddexp(f.new_zeros(()))
    # Of a fresh state nothing is kept, however large exp(ln f + m - ln i) may be.
    kept = (f + m).masked_fill(n == 0, -float("inf"))
    m = kept.maximum(i)
    kept, written = (kept - m).exp(), (i - m).exp()
    before = kept * n
    whole = before + written
    share = before / whole
    f = hold("f", share)
    if f is not share:
        as_it_is = f == share
        kept = kept.where(as_it_is, (f * whole / n).masked_fill(n == 0, 0))
        written = written.where(as_it_is, (1 - f) * whole)
    c = hold("c", kept * c + written * g.tanh())
    o = hold("o", o.sigmoid())
    return (hold("h", o * (c / whole)), c, hold("n", whole), hold("m", m)), {"f": f, "o": o}


SLSTM = Cell(
    name="slstm",
    layer="SLSTM",
    doc=__doc__ or "",
    rows=("i", "f", "g", "o"),
    step=partial(step, forget="sigmoid"),
    # n and m normalise and stabilise c: a linear map of n could be 0.
    states=(StateTensor("h", "P"), StateTensor("c"), StateTensor("n", mixes=False), StateTensor("m", mixes=False)),
    gates={"f": "forget gate", "o": "output gate"},
    keeping="f",
    output_scale=1 / 5,
    biases={"f": 1.0},
    options=(Option("forget_gate", "sigmoid", '"sigmoid" or "exponential".'),),
    chosen_by="forget_gate",
)
EXPONENTIAL = replace(SLSTM, name="slstm_exponential", step=partial(step, forget="exponential"))
SLSTM = replace(SLSTM, variants={"exponential": EXPONENTIAL})
