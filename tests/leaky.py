"""A cell that elman does not have: one file, and one line in the dictionary."""

from __future__ import annotations

from torch import Tensor

from elman.cells import Cell, CellState, Hold, StateTensor, Weights, as_computed


def leak(
    x: Tensor, r: Tensor | None, state: CellState, weights: Weights, *, hold: Hold = as_computed
) -> tuple[CellState, dict[str, Tensor]]:
    """A leaky integrator whose speed of forgetting is read from the input, and which counts its steps."""
    assert r is not None
    h, t = state
    k, u = (x + r).chunk(2, -1)
    k = hold("k", k.sigmoid())
    return (hold("h", k * h + (1 - k) * u.tanh()), hold("t", t + 1)), {"k": k}


LEAKY = Cell(
    name="leaky",
    layer="Leaky",
    doc="A leaky integrator.",
    rows=("k", "u"),
    step=leak,
    states=(StateTensor("h", "P"), StateTensor("t")),
    gates={"k": "keeping gate"},
    keeping="k",
    biases={"k": 1.5},
)
