"""How the parameters of recurrent layers begin."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from elman.cells import Cell
from elman.nn.recurrent import Recurrent


@torch.no_grad()
def initialize_recurrent(layer: Recurrent, input_scale: float) -> None:
    """Draw a layer's parameters so that every gate begins with about unit variance.

    A matrix of D columns that reads inputs of root mean square s has entries of standard deviation 1/(s √D).
    Recurrent matrices are orthogonal, gate by gate (Saxe et al. 2014), and biases begin as the cell has them.
    """
    H, cell = layer.hidden_sizes[0], layer.specification
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.normal_(parameter, std=1 / (input_scale * parameter.shape[1] ** 0.5))
        elif name.startswith("weight_hh"):
            for gate in parameter.split(H):
                nn.init.orthogonal_(gate)
        elif name.startswith("bias"):
            nn.init.zeros_(parameter)
            if name.startswith("bias_ih"):
                for gate, value in cell.biases.items():
                    parameter[cell.rows_of(gate, H)] = value


@torch.no_grad()
def begin_time_scales(bias: Tensor, cell: Cell, horizon: int) -> None:
    """Begin the gates of a bias (G * H,) with time scales spread up to so many steps; without gates do nothing.

    The keeping gate's is ln U(1, horizon − 1), that of the gate that writes, where there is one, its negative (Tallec
    and Ollivier 2018, "Can recurrent neural networks warp time?", arXiv:1804.11188).
    """
    if cell.keeping is None:
        return
    H = len(bias) // len(cell.rows)
    keep = bias.new_empty(H).uniform_(1, max(horizon - 1, 1)).log()
    bias[cell.rows_of(cell.keeping, H)] = keep
    if cell.writing is not None:
        bias[cell.rows_of(cell.writing, H)] = -keep
