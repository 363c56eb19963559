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
    Recurrent matrices are orthogonal, gate by gate (Saxe et al. 2014), and an LSTM's forget gate begins open
    (bias 1; Jozefowicz et al. 2015).
    """
    H = layer.hidden_size
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.normal_(parameter, std=1 / (input_scale * parameter.shape[1] ** 0.5))
        elif name.startswith("weight_hh"):
            for gate in parameter.split(H):
                nn.init.orthogonal_(gate)
        elif name.startswith("bias"):
            nn.init.zeros_(parameter)
            if layer.cell == "lstm" and name.startswith("bias_ih"):
                parameter[H : 2 * H] = 1
