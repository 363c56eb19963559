"""The gated recurrent unit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.nn.layout import Steps
from elman.nn.recurrent import Recurrent
from elman.nn.sequences import Flags, Integers


class GRU(Recurrent):
    """The gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), a drop-in for `torch.nn.GRU`.

        r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)
        z_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)
        n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))
        h_t = n_t + z_t * (h_{t-1} - n_t)

    The reset gate acts after the matmul, as in cuDNN; the rows of the weights are those of r, z, n.

    Args:
        input_size: D.
        hidden_size: H; a sequence gives every layer its own, and then a state is a tuple with one for each layer.
        num_layers: layers on top of each other; with a sequence of sizes, as many as there are.
        bias: whether there are b_ih and b_hh.
        batch_first: inputs and outputs are (B, T, ·) instead of (T, B, ·); the state is not affected.
        dropout: probability for the outputs of every layer but the last, in training.
        bidirectional: a second set of weights reads from the end to the beginning.
        device: where the parameters are made.
        dtype: of the parameters.
        weight_dropout: probability for the entries of W_hh, once a call, in training (arXiv:1708.02182).
        recurrent_dropout: probability for the entries of h_{t-1} where W_hh reads it, one mask for all steps of a call,
            in training (Gal & Ghahramani 2016).
        zoneout: probability with which an entry of h_t stays what it was; in evaluation its expectation
            (Krueger et al. 2017, arXiv:1606.01305).
        layer_norm: W_ih x_t and W_hh h_{t-1} are normalized over all gates, then multiplied by `gain_ih` and `gain_hh`
            (Ba et al. 2016, arXiv:1607.06450).
        backend: None for the first that can serve a call, or one of `elman.kernels.BACKENDS` and no other.
            "reference" has derivatives of every order, forward mode and `vmap`; "torch" what ATen and cuDNN have.
        recompute: keep the states between chunks of steps alone, and compute the rest anew in backward: less memory,
            about 4/3 of the time (arXiv:1604.06174). An integer is the steps of a chunk; True stands for 2 sqrt(T).

    >>> layer = GRU(3, 5, batch_first=True)
    >>> outputs, h = layer(torch.zeros(2, 7, 3), lengths=torch.tensor([7, 0]))
    >>> outputs.shape, h.shape
    (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        weight_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        layer_norm: bool = False,
        backend: str | None = None,
        recompute: bool | int = False,
    ) -> None:
        super().__init__(
            "gru",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
            weight_dropout=weight_dropout,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            layer_norm=layer_norm,
            backend=backend,
            recompute=recompute,
        )

    def forward(
        self,
        input: Steps,
        hx: Tensor | None = None,
        *,
        lengths: Integers | None = None,
        resets: Flags | None = None,
        return_states: bool = False,
    ) -> tuple[Steps, Tensor] | tuple[Steps, Tensor, Tensor]:
        """Read a window; see `Recurrent` for the arguments.

        Returns `(outputs, h_n)`, with `return_states` `(outputs, h_n, h)`.
        """
        return self._read(input, hx, lengths, resets, return_states)
