"""Layers: `Elman`, `GRU`, `LSTM`, and the layer of every other cell in `elman.cells.CELLS`, named by `Cell.layer`.

For a single step there is a class with "Cell" behind the name: `ElmanCell`, `GRUCell`, `LSTMCell`, ...

Layers that torch.nn has too can replace torch.nn's; docs/en/reference/torch-nn.md lists the differences.

>>> import torch
>>> from elman.nn import LSTM
>>> layer = LSTM(3, 5, num_layers=2)
>>> layer.load_state_dict(torch.nn.LSTM(3, 5, num_layers=2).state_dict())
<All keys matched successfully>
>>> outputs, (h, c), every = layer(torch.randn(7, 2, 3), lengths=[7, 4], return_states=True)
>>> outputs.shape, every[1].shape  # c of both layers after every step
(torch.Size([7, 2, 5]), torch.Size([2, 7, 2, 5]))
"""

from typing import Any

from elman.cells import CELLS
from elman.nn.layers import GRU, LSTM, Elman, layer_of
from elman.nn.recurrent import Recurrent
from elman.nn.single_step import single_step_of

RNN, RNNCell = Elman, single_step_of("elman")  # torch.nn's names

__all__ = ["GRU", "LSTM", "RNN", "Elman", "RNNCell", "Recurrent", "layer_of", "single_step_of"]
__all__ += [name for cell in CELLS.values() for name in (cell.layer, f"{cell.layer}Cell") if name not in __all__]


def __getattr__(name: str) -> Any:
    for cell in CELLS.values():
        if cell.layer in (name, name.removesuffix("Cell")):
            return layer_of(cell.name) if name == cell.layer else single_step_of(cell.name)
    raise AttributeError(f"module 'elman.nn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(cell.layer + end for cell in CELLS.values() for end in ("", "Cell"))})
