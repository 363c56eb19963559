"""The small networks of the experiments, and the one loop that trains them all."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.environment import one_thread
from elman.models.initialization import begin_time_scales
from elman.nn import layer_of

CELLS = {cell: layer_of(cell) for cell in ("elman", "gru", "lstm")}  # of which the classical claims are
COLOURS = {"elman": 2, "gru": 1, "lstm": 3, "transformer": 4}


class Reader(nn.Module):
    """One recurrent layer and a linear output at every step: x (B, T, D) or tokens (B, T) -> (B, T, O).

    With a `horizon`, gates begin with time scales spread up to so many steps: biases of the forget or update gate are
    ln U(1, horizon − 1), and those of the LSTM's input gate their negatives (Tallec and Ollivier 2018, "Can recurrent
    neural networks warp time?"). Without it, the LSTM's forget gate begins open (Jozefowicz et al. 2015). `dropout`
    is on what the output reads, `input_dropout` on x, `recurrent_dropout` on the memory, one mask a sequence.
    """

    def __init__(
        self,
        cell: str,
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        horizon: int | None = None,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.inputs, self.dropout, self.input_dropout = inputs, nn.Dropout(dropout), nn.Dropout(input_dropout)
        self.layer = CELLS[cell](inputs, hidden, batch_first=True, recurrent_dropout=recurrent_dropout)
        self.out = nn.Linear(hidden, outputs)
        for name, parameter in self.layer.named_parameters():
            if name == "weight_hh_l0":
                for gate in parameter.data.split(hidden):
                    nn.init.orthogonal_(gate)
            elif name == "bias_ih_l0":
                specification = self.layer.specification
                for gate, value in specification.biases.items() if horizon is None else ():
                    parameter.data[specification.rows_of(gate, hidden)] = value
                if horizon is not None:
                    begin_time_scales(parameter.data, specification, horizon)

    def read(self, x: Tensor, state: object = None) -> tuple[Tensor, object]:
        """Outputs, and the memory after them."""
        if not x.is_floating_point():
            x = F.one_hot(x, self.inputs).float()
        hidden, state = self.layer(self.input_dropout(x), state)[:2]
        return self.out(self.dropout(hidden)), state

    def forward(self, x: Tensor) -> Tensor:
        """From a fresh memory."""
        return self.read(x)[0]


def fit_sequence(
    model: nn.Module,
    loss: Callable[[int], Tensor],
    steps: int,
    *,
    rate: float = 3e-3,
    clip: float | None = 1.0,
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
    progress: Callable[[float], None] = lambda done: None,
) -> tuple[list[float], list[float]]:
    """Train on `loss(step)`, which draws its own batch, for so many steps.

    The rate rises over the first 5 % of the steps and falls to a tenth by a cosine. Returns losses and gradient norms.
    """
    with one_thread():
        return _fit(model, loss, steps, rate, clip, optimizer, progress)


def _fit(
    model: nn.Module,
    loss: Callable[[int], Tensor],
    steps: int,
    rate: float,
    clip: float | None,
    optimizer: type[torch.optim.Optimizer],
    progress: Callable[[float], None],
) -> tuple[list[float], list[float]]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    update = optimizer(parameters, lr=rate)  # type: ignore[call-arg]
    losses, norms = [], []
    for step in range(steps):
        warm = min(1.0, (step + 1) / (0.05 * steps + 1))
        cosine = 0.55 + 0.45 * math.cos(math.pi * step / steps)
        for group in update.param_groups:
            group["lr"] = rate * warm * cosine
        update.zero_grad()
        value = loss(step)
        value.backward()
        norms.append(float(nn.utils.clip_grad_norm_(parameters, clip or float("inf"))))
        update.step()
        losses.append(value.item())
        progress((step + 1) / steps)
    return losses, norms


def smooth(values: list[float], window: int) -> list[float]:
    """Means of so many values in a row."""
    window = max(1, window)
    return [sum(values[i : i + window]) / len(values[i : i + window]) for i in range(0, len(values), window)]
