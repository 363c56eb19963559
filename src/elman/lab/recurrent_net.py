"""The small recurrent network of the experiments."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from elman.models.initialization import initialize_biases
from elman.nn import layer_of
from elman.state import State

CLASSICAL = ("elman", "gru", "lstm")  # the cells that the papers compare


class RecurrentNet(nn.Module):
    """One recurrent layer and a linear output at every step: x (B, T, D) or tokens (B, T) -> (B, T, O).

    Recurrent matrices begin orthogonal, gate by gate, and biases as `initialize_biases` sets them for a `horizon`.
    The `dropouts` are on x, on the state (one mask a sequence) and on what the output reads.
    """

    def __init__(
        self,
        cell: str,
        inputs: int,
        hidden: int,
        outputs: int,
        horizon: int | None = None,
        dropouts: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__()
        self.inputs, self.input_dropout, self.dropout = inputs, nn.Dropout(dropouts[0]), nn.Dropout(dropouts[2])
        self.layer = layer_of(cell)(inputs, hidden, batch_first=True, recurrent_dropout=dropouts[1])
        self.out = nn.Linear(hidden, outputs)
        for gate in self.layer.get_parameter("weight_hh_l0").data.split(hidden):
            nn.init.orthogonal_(gate)
        initialize_biases(self.layer, horizon)

    def read(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The outputs, and the state after them."""
        if not x.is_floating_point():
            x = F.one_hot(x, self.inputs).float()
        hidden, state = self.layer(self.input_dropout(x), state)[:2]
        return self.out(self.dropout(hidden)), state

    def forward(self, x: Tensor) -> Tensor:
        """The outputs, read from a fresh state."""
        return self.read(x)[0]
