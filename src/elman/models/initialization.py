"""How a model, and the parameters of recurrent layers, begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from elman.environment import one_thread
from elman.nn.recurrent import Recurrent

M = TypeVar("M", bound=nn.Module)


def initial_model(build: Callable[[], M], seed: int) -> M:
    """The model that `build()` makes, on the CPU, from random numbers that the seed alone decides.

    One thread makes the model, since the last bits of an orthogonal matrix depend on the number of threads.
    """
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every other device as well
    with one_thread():
        return build()


@torch.no_grad()
def initialize_recurrent(layer: Recurrent, input_scale: float) -> None:
    """Draw a layer's parameters so that every gate begins with about unit variance.

    A matrix of D columns that reads inputs of root mean square s has entries of standard deviation 1/(s √D).
    Recurrent matrices are orthogonal, gate by gate (Saxe et al. 2014). Biases are those of `initialize_biases`, else 0.
    """
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.normal_(parameter, std=1 / (input_scale * parameter.shape[1] ** 0.5))
        elif name.startswith("weight_hh"):
            for gate in parameter.split(layer.hidden_size):
                nn.init.orthogonal_(gate)
        elif name.startswith("bias"):
            nn.init.zeros_(parameter)
    initialize_biases(layer)


@torch.no_grad()
def initialize_biases(layer: Recurrent, horizon: int | None = None) -> None:
    """Set the biases of the gates that decide how long a layer remembers; its other parameters stay.

    Without a `horizon`, the biases are those of the cell's specification. With a `horizon`, the units' time scales are
    spread up to so many steps: the bias of the gate that keeps is ln U(1, horizon − 1), and the bias of the gate that
    writes, if there is one, is its negative (Tallec & Ollivier 2018, "Can recurrent neural networks warp time?",
    arXiv:1804.11188).
    """
    cell = layer.specification
    for name, bias in layer.named_parameters():
        if not name.startswith("bias_ih"):
            continue
        H = len(bias) // len(cell.rows)
        if horizon is None:
            for gate, value in cell.biases.items():
                bias[cell.rows_of(gate, H)] = value
        elif cell.keeping is not None:
            keep = bias.new_empty(H).uniform_(1, max(horizon - 1, 1)).log()
            bias[cell.rows_of(cell.keeping, H)] = keep
            if cell.writing is not None:
                bias[cell.rows_of(cell.writing, H)] = -keep
