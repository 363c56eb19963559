"""Recurrent cells, one file each. Everything that exists for every cell is made from `CELLS`.

>>> from elman.cells import CELLS
>>> for name, cell in CELLS.items():
...     print(name, cell.layer, *(state.name for state in cell.states), *cell.gates)
elman Elman h
gru GRU h r z
lstm LSTM h c i f o
mingru MinGRU h z
slstm SLSTM h c n m f o
"""

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
"""Every cell by its name, for `--model` and configurations.

>>> list(CELLS), CELLS["lstm"].gates
(['elman', 'gru', 'lstm', 'mingru', 'slstm'], {'i': 'input gate', 'f': 'forget gate', 'o': 'output gate'})
"""


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
