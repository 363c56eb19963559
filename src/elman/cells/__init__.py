"""Recurrent cells, one file each. Everything that exists for every cell is made from `CELLS`."""

from typing import Any

from elman.cells.cell import (
    Cell,
    CellState,
    CellStep,
    Hold,
    Option,
    StateTensor,
    Weights,
    as_computed,
    normalize,
)
from elman.cells.elman import ELMAN
from elman.cells.gru import GRU
from elman.cells.lstm import LSTM
from elman.cells.mingru import MINGRU
from elman.cells.slstm import SLSTM

__all__ = [
    "CELLS",
    "Cell",
    "CellState",
    "CellStep",
    "Hold",
    "Option",
    "StateTensor",
    "Weights",
    "as_computed",
    "cell_named",
    "normalize",
]

CELLS: dict[str, Cell] = {"elman": ELMAN, "gru": GRU, "lstm": LSTM, "mingru": MINGRU, "slstm": SLSTM}


def cell_named(name: str) -> Cell:
    """The cell, or the variant of a cell, of a name.

    >>> cell_named("elman_relu").gates == cell_named("elman").gates
    True
    """
    if name in CELLS:
        return CELLS[name]
    return next(variant for cell in CELLS.values() for variant in cell.variants.values() if variant.name == name)


def __getattr__(name: str) -> Any:
    """The named tuple of a cell's state, as `LSTMState`."""
    for cell in CELLS.values():
        if name == f"{cell.layer}State" and len(cell.states) > 1:
            return cell.state_type
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
