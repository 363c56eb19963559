"""How the parameters of recurrent layers begin."""

from __future__ import annotations

import torch
from torch import nn

from elman.nn.recurrent import Recurrent

# About the root mean square of what a cell puts out whose gates have unit variance: tanh(…), …, σ(…) tanh(c).
OUTPUT_SCALE = {"elman": 2 / 3, "gru": 1 / 2, "lstm": 1 / 3}


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
    """Set the biases of the gates that decide how long a layer remembers, and leave its other parameters alone.

    An LSTM's forget gate begins open (bias 1; Jozefowicz et al. 2015). With a `horizon`, the units' time scales are
    spread up to so many steps: the bias of the LSTM's forget gate and of the GRU's update gate is ln U(1, horizon − 1),
    that of the LSTM's input gate its negative (Tallec & Ollivier 2018, "Can recurrent neural networks warp time?").
    """
    H = layer.hidden_size
    for name, bias in layer.named_parameters():
        if not name.startswith("bias_ih") or layer.cell not in ("gru", "lstm"):
            continue
        if horizon is not None:
            keep = torch.empty_like(bias[:H]).uniform_(1, max(horizon - 1, 1)).log()
            bias[H : 2 * H] = keep  # the forget gate, the update gate: both second
            if layer.cell == "lstm":
                bias[:H] = -keep
        elif layer.cell == "lstm":
            bias[H : 2 * H] = 1
