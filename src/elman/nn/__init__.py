"""Layers: `Elman`, `GRU`, `LSTM`, and that of every other cell in `elman.cells.CELLS` under the name it has there."""

from elman.cells import CELLS
from elman.nn.layers import GRU, LSTM, Elman, layer_of
from elman.nn.recurrent import Recurrent

__all__ = ["GRU", "LSTM", "Elman", "layer_of"]


def __getattr__(name: str) -> type[Recurrent]:
    for cell in CELLS.values():
        if cell.layer == name:
            return layer_of(cell.name)
    raise AttributeError(f"module 'elman.nn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(cell.layer for cell in CELLS.values())})
